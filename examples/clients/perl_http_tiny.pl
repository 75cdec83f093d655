# Upload two made-up people with HTTP::Tiny, which Perl has: URL=http://127.0.0.1:8080 TOKEN=... perl perl_http_tiny.pl
use strict;
use warnings;
use utf8;
use HTTP::Tiny;
use JSON::PP;

my $users = [{ email => 'ada@example.com', firstName => 'Ada' }, { email => 'soren@example.com', firstName => 'Søren' }];
my $batch = { sessionId => time, sequence => 1, totalBatches => 1, totalUsers => scalar @$users };

# HTTP::Tiny makes no multipart bodies: each part begins with the boundary, lines end with CRLF, JSON::PP writes UTF-8.
my $boundary = 'example-' . time . '-' . int rand 1e9;
my @parts = (name => 'Example Perl', batch => encode_json($batch), users => encode_json($users));
my $body = '';
while (my ($name, $text) = splice @parts, 0, 2) {
    $body .= "--$boundary\r\nContent-Disposition: form-data; name=\"$name\"\r\n\r\n$text\r\n";
}
$body .= "--$boundary--\r\n";

my %headers = ('Content-Type' => "multipart/form-data; boundary=$boundary");
$headers{Authorization} = "Bearer $ENV{TOKEN}" if $ENV{TOKEN};
my $url = ($ENV{URL} || 'http://127.0.0.1:8080') . '/audience?sync=true';
my $answer = HTTP::Tiny->new(timeout => 70)->post($url, { headers => \%headers, content => $body });
print "$answer->{status} $answer->{content}\n";
exit($answer->{success} ? 0 : 1);
