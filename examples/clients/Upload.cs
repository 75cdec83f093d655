// Upload two made-up people with HttpClient: URL=http://127.0.0.1:8080 TOKEN=... dotnet run Upload.cs
// (or: mcs -r:System.Net.Http Upload.cs && mono Upload.exe)
using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Threading.Tasks;

public static class Upload
{
    public static int Main()
    {
        return Send().GetAwaiter().GetResult();
    }

    private static async Task<int> Send()
    {
        var session = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var batch = $"{{\"sessionId\": {session}, \"sequence\": 1, \"totalBatches\": 1, \"totalUsers\": 2}}";
        var users = "[{\"email\": \"ada@example.com\", \"firstName\": \"Ada\"},"
            + " {\"email\": \"soren@example.com\", \"firstName\": \"S\u00f8ren\"}]";
        var form = new MultipartFormDataContent
        {
            { new StringContent("Example C#"), "name" },
            { new StringContent(batch), "batch" },
            { new StringContent(users), "users" },
        };
        var client = new HttpClient { Timeout = TimeSpan.FromSeconds(70) };
        var token = Environment.GetEnvironmentVariable("TOKEN");
        if (token != null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
        var url = Environment.GetEnvironmentVariable("URL") ?? "http://127.0.0.1:8080";
        var answer = await client.PostAsync(url + "/audience?sync=true", form);
        Console.WriteLine((int)answer.StatusCode + " " + await answer.Content.ReadAsStringAsync());
        return answer.IsSuccessStatusCode ? 0 : 1;
    }
}
