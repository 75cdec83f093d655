# Upload two made-up people with net/http: URL=http://127.0.0.1:8080 TOKEN=... ruby ruby_net_http.rb
require "json"
require "net/http"

users = [{ email: "ada@example.com", firstName: "Ada" }, { email: "soren@example.com", firstName: "Søren" }]
batch = { sessionId: Time.now.to_i, sequence: 1, totalBatches: 1, totalUsers: users.size }

uri = URI("#{ENV.fetch('URL', 'http://127.0.0.1:8080')}/audience?sync=true")
request = Net::HTTP::Post.new(uri)
request["Authorization"] = "Bearer #{ENV['TOKEN']}" if ENV["TOKEN"]
# Without "multipart/form-data" it would be urlencoded, which is refused.
request.set_form(
  [["name", "Example Ruby"], ["batch", JSON.generate(batch)], ["users", JSON.generate(users)]],
  "multipart/form-data"
)
options = { use_ssl: uri.scheme == "https", read_timeout: 70 }
answer = Net::HTTP.start(uri.hostname, uri.port, **options) { |http| http.request(request) }
puts "#{answer.code} #{answer.body}"
exit answer.is_a?(Net::HTTPSuccess)
