// Publish two made-up people with franz-go and hamba/avro.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/soe"
	"github.com/twmb/franz-go/pkg/kgo"
)

const name = "Example Go"

// What is left out has a default.
type batch struct {
	BatchID string `avro:"batchId"`
	Name    string `avro:"name"`
	Users   []user `avro:"users"`
}

type user struct {
	Email     *string `avro:"email"`
	FirstName *string `avro:"firstName"`
}

func main() {
	schema := must(avro.ParseFiles(filepath.Join(cmp.Or(os.Getenv("SCHEMAS"), ".."), "AudienceBatch.avsc")))
	codec := must(soe.NewCodec(schema)) // its fingerprint is one of the three that are accepted
	ada, first, soren := "ada@example.com", "Ada", "soren@example.com"
	one := batch{newID(), name, []user{{Email: &ada, FirstName: &first}, {Email: &soren}}}

	// Idempotent and acks=all are its defaults; a nil hasher is Kafka's murmur2.
	client := must(kgo.NewClient(
		kgo.SeedBrokers(cmp.Or(os.Getenv("BOOTSTRAP_SERVERS"), "127.0.0.1:9092")),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	written := must(client.ProduceSync(ctx, &kgo.Record{
		Topic:   cmp.Or(os.Getenv("TOPIC"), "audience.batches"),
		Key:     []byte("custom:" + name),
		Value:   must(codec.Encode(one)),
		Headers: []kgo.RecordHeader{{Key: "audience-source", Value: []byte("crm")}},
	}).First())
	fmt.Printf("batch %s\n", one.BatchID)
	fmt.Printf("record %s-%d@%d\n", written.Topic, written.Partition, written.Offset)
}

func newID() string {
	id := make([]byte, 16)
	must(rand.Read(id))
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
