// Upload two made-up people with Java 17's HttpClient: URL=http://127.0.0.1:8080 TOKEN=... java Upload.java
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

public class Upload {
    public static void main(String[] arguments) throws Exception {
        String batch = "{\"sessionId\": %d, \"sequence\": 1, \"totalBatches\": 1, \"totalUsers\": 2}"
            .formatted(Instant.now().getEpochSecond());
        String users = "[{\"email\": \"ada@example.com\", \"firstName\": \"Ada\"},"
            + " {\"email\": \"soren@example.com\", \"firstName\": \"S\u00f8ren\"}]";
        Map<String, String> parts = new LinkedHashMap<>();
        parts.put("name", "Example Java");
        parts.put("batch", batch);
        parts.put("users", users);

        // HttpClient makes no multipart bodies: each part begins with the boundary, lines end with CRLF.
        String boundary = UUID.randomUUID().toString();
        StringBuilder body = new StringBuilder();
        parts.forEach((name, text) -> body.append("--").append(boundary)
            .append("\r\nContent-Disposition: form-data; name=\"").append(name).append("\"\r\n\r\n")
            .append(text).append("\r\n"));
        body.append("--").append(boundary).append("--\r\n");

        String url = System.getenv().getOrDefault("URL", "http://127.0.0.1:8080") + "/audience?sync=true";
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(70))
            .header("Content-Type", "multipart/form-data; boundary=" + boundary)
            .POST(HttpRequest.BodyPublishers.ofString(body.toString())); // in UTF-8
        String token = System.getenv("TOKEN");
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        var answer = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
        System.exit(answer.statusCode() == 200 ? 0 : 1);
    }
}
