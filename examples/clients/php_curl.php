<?php
// Upload two made-up people with curl: URL=http://127.0.0.1:8080 TOKEN=... php php_curl.php
$users = [
    ['email' => 'ada@example.com', 'firstName' => 'Ada'],
    ['email' => 'soren@example.com', 'firstName' => 'Søren'],
];
$batch = ['sessionId' => time(), 'sequence' => 1, 'totalBatches' => 1, 'totalUsers' => count($users)];
$token = getenv('TOKEN');

$request = curl_init((getenv('URL') ?: 'http://127.0.0.1:8080') . '/audience?sync=true');
curl_setopt_array($request, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 70,
    CURLOPT_HTTPHEADER => $token ? ["Authorization: Bearer $token"] : [],
    // An array is sent as multipart/form-data; http_build_query would make it urlencoded, which is refused.
    CURLOPT_POSTFIELDS => [
        'name' => 'Example PHP',
        'batch' => json_encode($batch),
        'users' => json_encode($users),
    ],
]);
$text = curl_exec($request);
$status = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
echo $text === false ? curl_error($request) : "$status $text", "\n";
exit($status === 200 ? 0 : 1);
