// Read what the accounts did with franz-go and hamba/avro: BATCH=id COUNT=3 go run ./completions
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// `audience schema BatchCompletion --headers` prints these ten bytes; hamba/avro computes others for the same schema.
var header = []byte{0xc3, 0x01, 0x12, 0xb3, 0xbc, 0xeb, 0x92, 0x71, 0x3a, 0x98}

type completion struct {
	BatchID   *string `avro:"batchId"`
	Provider  string  `avro:"provider"`
	Account   *string `avro:"account"`
	Status    string  `avro:"status"`
	ErrorCode *string `avro:"errorCode"`
	Counts    struct {
		Received int `avro:"received"`
		Accepted int `avro:"accepted"`
	} `avro:"counts"`
}

func main() {
	schema := must(avro.ParseFiles(filepath.Join(cmp.Or(os.Getenv("SCHEMAS"), ".."), "BatchCompletion.avsc")))
	left := must(strconv.Atoi(cmp.Or(os.Getenv("COUNT"), strconv.Itoa(math.MaxInt))))
	client := must(kgo.NewClient( // all of it, and without a group
		kgo.SeedBrokers(cmp.Or(os.Getenv("BOOTSTRAP_SERVERS"), "127.0.0.1:9092")),
		kgo.ConsumeTopics(cmp.Or(os.Getenv("TOPIC"), "audience.completions")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	))
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(context.Background())
		for _, failed := range fetches.Errors() {
			log.Fatal(failed.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if !bytes.HasPrefix(record.Value, header) {
				log.Printf("%s-%d@%d is of another schema", record.Topic, record.Partition, record.Offset)
				return
			}
			var one completion
			if err := avro.Unmarshal(schema, record.Value[len(header):], &one); err != nil {
				log.Fatal(err)
			}
			batch := os.Getenv("BATCH")
			if batch != "" && text(one.BatchID) != batch || one.Status == "retrying" || left <= 0 {
				return
			}
			left--
			fmt.Println(line(one))
		})
	}
}

func line(one completion) string {
	account, failure := one.Provider, ""
	if one.Account != nil {
		account += "/" + *one.Account
	}
	if one.ErrorCode != nil {
		failure = " " + *one.ErrorCode
	}
	return fmt.Sprintf("%s %s %d of %d%s", account, one.Status, one.Counts.Accepted, one.Counts.Received, failure)
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
