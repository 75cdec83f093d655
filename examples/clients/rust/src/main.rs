//! Upload two made-up people with reqwest: URL=http://127.0.0.1:8080 TOKEN=... cargo run
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, error::Error, process::ExitCode};

use reqwest::blocking::{multipart::Form, Client};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let session = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let batch = format!(r#"{{"sessionId": {session}, "sequence": 1, "totalBatches": 1, "totalUsers": 2}}"#);
    let users = r#"[{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com", "firstName": "Søren"}]"#;
    let form = Form::new().text("name", "Example Rust").text("batch", batch).text("users", users);

    let url = env::var("URL").unwrap_or_else(|_| "http://127.0.0.1:8080".into());
    let client = Client::builder().timeout(Duration::from_secs(70)).build()?;
    let mut request = client.post(format!("{url}/audience?sync=true")).multipart(form);
    if let Ok(token) = env::var("TOKEN") {
        request = request.bearer_auth(token);
    }
    let answer = request.send()?;
    let is_good = answer.status().is_success();
    println!("{} {}", answer.status().as_u16(), answer.text()?);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
