// Print the ten bytes that hamba/avro writes before values of each schema that is named: go run marks.go FILE...
package main

import (
	"encoding/hex"
	"fmt"
	"log"
	"os"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/soe"
)

func main() {
	for _, file := range os.Args[1:] {
		text := must(os.ReadFile(file))
		// A cache of its own for each: releases of one record have types of the same names.
		schema := must(avro.ParseBytesWithCache(text, "", &avro.SchemaCache{}))
		fmt.Println(hex.EncodeToString(must(soe.BuildHeader(schema))))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
