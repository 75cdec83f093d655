// Upload two made-up people with net/http: URL=http://127.0.0.1:8080 TOKEN=... go run upload.go
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"time"
)

func main() {
	batch := fmt.Sprintf(`{"sessionId": %d, "sequence": 1, "totalBatches": 1, "totalUsers": 2}`, time.Now().Unix())
	users := `[{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com", "firstName": "Søren"}]`
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, part := range [][2]string{{"name", "Example Go"}, {"batch", batch}, {"users", users}} {
		must(form.WriteField(part[0], part[1]))
	}
	must(form.Close()) // without it the body has no end

	url := cmp.Or(os.Getenv("URL"), "http://127.0.0.1:8080") + "/audience?sync=true"
	request, err := http.NewRequest(http.MethodPost, url, &body)
	must(err)
	request.Header.Set("Content-Type", form.FormDataContentType())
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: 70 * time.Second}
	answer, err := client.Do(request)
	must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(err)
	fmt.Println(answer.StatusCode, string(text))
	if answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
