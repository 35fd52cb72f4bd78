//! What clients get for what they send.

use super::*;
use portolan_model::system::http;
use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command};

async fn json_of(response: reqwest::Response) -> Json {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_message_is_answered_with_202_and_its_handle_after_the_commit() {
    let location = location(json!({})).await;
    let response = client()
        .post(format!("{}?ignored=1", location.url))
        .header("content-type", "text/xml; charset=iso-8859-1")
        .header("cookie", "session=s3cret")
        .header("x-order", "17")
        .body("<a/>")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let handle = response.headers()["portolan-submission-handle"].to_str().unwrap().to_owned();
    let document = json_of(response).await;
    assert_eq!((&document["status"], &document["documents"]), (&json!("accepted"), &json!(1)));
    assert_eq!(document["submission_handle"], handle);
    let message = location.engine.last();
    assert_eq!(bytes(&message), b"<a/>");
    assert_eq!((message.content_type.as_deref(), message.charset.as_deref()), (Some("text/xml"), Some("iso-8859-1")));
    assert_eq!(message.context.text(&http::SUBMISSION_HANDLE), Some(handle.as_str()));
    let headers = message.context.text(&http::INBOUND_HTTP_HEADERS).unwrap();
    assert!(headers.contains("x-order: 17\r\n") && !headers.contains("s3cret"), "{headers}");
    assert_eq!(message.context.promoted().count(), 0);
    location.stop().await;
}

#[tokio::test]
async fn what_is_refused_gets_a_problem_document_and_is_not_stored() {
    let location =
        location(json!({ "methods": ["POST", "PUT"], "content_types": ["application/xml", "text/*"], "max_body_bytes": 10 })).await;
    let client = client();
    let request = |method: &str, content_type: &str, body: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        client.request(method, &location.url).header("content-type", content_type).body(body.to_owned()).send()
    };
    let response = client.post(format!("http://{}/other", location.address)).body("x").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(problem(response).await["type"], "urn:portolan:http:unknown-path");
    let response = request("GET", "text/xml", "x").await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, "POST, PUT"));
    problem(response).await;
    for (content_type, status) in
        [("application/json", 415), ("textual/xml", 415), ("", 415), ("TEXT/plain;x=y", 202), ("application/XML", 202)]
    {
        assert_eq!(request("POST", content_type, "x").await.unwrap().status(), status, "{content_type}");
    }
    assert_eq!(request("PUT", "text/xml", "1234567890").await.unwrap().status(), 202);
    let stored = location.engine.count();
    let response = request("POST", "text/xml", "12345678901").await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(problem(response).await["detail"].as_str().unwrap().contains("10 bytes"));
    let response = request("POST", "text/xml", "").await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(problem(response).await["type"], "urn:portolan:http:empty-body");
    let response =
        client.post(&location.url).header("content-type", "text/xml").header("content-encoding", "gzip").body("x").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["accept-encoding"].to_str().unwrap()), (415, "identity"));
    assert_eq!(location.engine.count(), stored);
    location.stop().await;
}

#[tokio::test]
async fn credentials_are_asked_for_and_checked_before_anything_else() {
    let authentication = json!({ "basic": { "user": "ann", "password": "pa:ss" }, "bearer": { "token": "t0ken" } });
    let location = location(json!({ "authentication": authentication })).await;
    let client = client();
    let response = client.get(&location.url).send().await.unwrap();
    assert_eq!(response.status(), 401);
    let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    problem(response).await;
    assert_eq!(client.post(&location.url).basic_auth("ann", Some("pass")).body("x").send().await.unwrap().status(), 401);
    assert_eq!(client.post(&location.url).bearer_auth("t0ke").body("x").send().await.unwrap().status(), 401);
    assert_eq!(location.engine.count(), 0);
    assert_eq!(client.post(&location.url).basic_auth("ann", Some("pa:ss")).body("x").send().await.unwrap().status(), 202);
    assert_eq!(client.post(&location.url).bearer_auth("t0ken").body("x").send().await.unwrap().status(), 202);
    assert!(!format!("{:?}", location.engine.last()).contains("t0ken"));
    location.stop().await;
}

#[tokio::test]
async fn a_message_that_fails_is_suspended_and_the_client_is_told_where() {
    let location = location(json!({})).await;
    for mood in [Mood::Refuse(code::NO_SUBSCRIPTION), Mood::SuspendItself] {
        location.engine.mood(mood);
        let response = post(&location.url, "<a/>").await;
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["portolan-suspended-instance"], "00000000-0000-0000-0000-000000000007");
        let document = json_of(response).await;
        assert_eq!(document["status"], "suspended");
        assert!(document["code"].as_str().unwrap().starts_with("PTL01"));
    }
    let suspended = location.engine.suspended.lock().unwrap();
    assert_eq!(suspended.iter().map(|(m, _)| bytes(m)).collect::<Vec<_>>(), [b"<a/>", b"<a/>"]);
    assert_eq!(suspended[0].1.code, "PTL0102");
}

#[tokio::test]
async fn without_suspension_a_failed_message_is_the_clients_again() {
    let location = location(json!({ "suspend_failed_requests": false })).await;
    for (code, status) in [(code::PIPELINE_FAILED, 422), (code::XML_NOT_WELL_FORMED, 422), (code::NO_SUBSCRIPTION, 500)] {
        location.engine.mood(Mood::Refuse(code));
        let response = post(&location.url, "<a").await;
        assert_eq!(response.status(), status);
        let document = problem(response).await;
        assert_eq!((&document["code"], &document["detail"]), (&json!(code.id), &json!("it cannot be taken")));
    }
    assert!(location.engine.suspended.lock().unwrap().is_empty());
    location.engine.mood(Mood::Good);
    assert_eq!(post(&location.url, "<a/>").await.status(), 202);
    let value = location.engine.last().context.get(&portolan_model::system::bts::ACTION_ON_FAILURE).cloned();
    assert_eq!(value, Some(portolan_model::Value::Int32(0)), "or the engine would suspend by itself");
}

#[tokio::test]
async fn a_messagebox_that_takes_nothing_is_503_with_retry_after_and_no_inside_knowledge() {
    let location = location(json!({})).await;
    for code in [code::STORE_FULL, code::STORE_FAILED, code::SHUTTING_DOWN] {
        location.engine.mood(Mood::Away(code));
        let response = post(&location.url, "<a/>").await;
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "5"));
        let document = problem(response).await;
        assert_eq!(document["code"], code.id);
        assert!(!document.to_string().contains("/secret/place"));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_cancel_the_commit() {
    let location = location(json!({})).await;
    location.engine.mood(Mood::Slow(Duration::from_millis(400)));
    let mut stream = tokio::net::TcpStream::connect(location.address).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n<a/>").await.unwrap();
    location.engine.begun(1).await;
    drop(stream);
    assert_eq!(location.engine.count(), 0, "the commit is still to come");
    eventually("the message", || location.engine.count() == 1).await;
    location.stop().await;
}

#[tokio::test]
async fn a_location_that_the_engine_has_closed_is_to_be_tried_again() {
    let location = location(json!({})).await;
    location.engine.mood(Mood::Away(code::URL_DISALLOWED));
    let response = post(&location.url, "<a/>").await;
    assert_eq!(response.status(), 503);
    assert_eq!(problem(response).await["type"], "urn:portolan:http:location-disabled");
}

#[tokio::test]
async fn a_web_page_cannot_submit_through_somebodys_browser() {
    let location = location(json!({})).await;
    let request = |site: &str| client().post(&location.url).header("sec-fetch-site", site).body("x").send();
    assert_eq!(request("cross-site").await.unwrap().status(), 403);
    assert_eq!(location.engine.count(), 0);
    assert_eq!(request("same-origin").await.unwrap().status(), 202);
}

#[tokio::test]
async fn another_success_status_can_be_chosen_and_204_has_no_body() {
    for (status, has_body) in [(200, true), (204, false)] {
        let location = location(json!({ "success_status": status })).await;
        let response = post(&location.url, "<a/>").await;
        assert_eq!(response.status(), status);
        assert!(response.headers().contains_key("portolan-submission-handle"));
        assert_eq!(!response.text().await.unwrap().is_empty(), has_body);
        location.stop().await;
    }
}

#[tokio::test]
async fn curl_submits_a_large_body_with_expect_and_in_chunks() {
    let location = location(json!({})).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::io::Write::write_all(&mut file, &body).unwrap();
    let data = format!("@{}", file.path().display());
    for header in ["Expect: 100-continue", "Transfer-Encoding: chunked"] {
        let output = Command::new("curl")
            .args([
                "--noproxy",
                "*",
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-H",
                header,
                "-H",
                "Content-Type: a/b",
                "--data-binary",
                &data,
                &location.url,
            ])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "202", "{header}: {output:?}");
        let message = location.engine.last();
        assert!(matches!(message.body, BodySource::Temporary(_)), "a large body waits in a file");
        assert!(bytes(&message) == body);
    }
    let path = match location.engine.last().body {
        BodySource::Temporary(path) => path.to_path_buf(),
        other => panic!("{other:?}"),
    };
    location.engine.submitted.lock().unwrap().clear();
    assert!(!path.exists(), "the temporary file goes with the message");
    location.stop().await;
}

#[tokio::test]
async fn a_hundred_clients_at_once_are_all_served() {
    let location = location(json!({ "max_concurrent_requests": 10 })).await;
    location.engine.mood(Mood::Slow(Duration::from_millis(5)));
    let client = client();
    let requests = (0..100).map(|n| {
        let request = client.post(&location.url).body(format!("<n>{n}</n>"));
        tokio::spawn(async move { request.send().await.unwrap().status() })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), 202);
    }
    let mut bodies: Vec<_> = location.engine.submitted.lock().unwrap().iter().map(bytes).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 100);
    location.stop().await;
}
