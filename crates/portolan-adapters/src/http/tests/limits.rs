//! Clients that are slow, huge, or speak no HTTP.

use super::*;
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends bytes and gives back everything that comes until the connection ends.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is no failure of the answer.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("an end of the connection");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_stops_coming_is_408_and_not_stored() {
    let location = location(json!({ "body_timeout_seconds": 1 })).await;
    let started = Instant::now();
    let answer = raw(location.address, b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n<a").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body-too-slow"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(location.engine.count(), 0);
    location.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let location = location(json!({ "max_body_bytes": 100_000 })).await;
    let mut request = b"POST /in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..8 {
        request.extend_from_slice(b"4000\r\n");
        request.extend_from_slice(&[b'x'; 0x4000]);
        request.extend_from_slice(b"\r\n");
    }
    let answer = raw(location.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(location.engine.count(), 0);
    location.stop().await;
}

#[tokio::test]
async fn a_refused_body_is_not_asked_for() {
    let location = location(json!({ "max_body_bytes": 10 })).await;
    let mut stream = TcpStream::connect(location.address).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    location.stop().await;
}

#[tokio::test]
async fn a_refused_client_that_sends_all_the_same_can_read_the_answer() {
    let location = location(json!({ "authentication": { "bearer": { "token": "t" } } })).await;
    for _ in 0..20 {
        let response = client().post(&location.url).body(vec![7; 1_000_000]).send().await.unwrap();
        assert_eq!(response.status(), 401);
    }
    location.stop().await;
}

#[tokio::test]
async fn what_is_no_http_gets_an_error_and_harms_nobody() {
    let location = location(json!({})).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"nonsense\r\n\r\n",
        b"POST /in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(location.address, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let long = format!("POST /in HTTP/1.1\r\nHost: x\r\nX: {}\r\nContent-Length: 1\r\n\r\nx", "y".repeat(200_000));
    assert!(raw(location.address, long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(location.engine.count(), 0);
    assert_eq!(post(&location.url, "x").await.status(), 202);
    location.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_stored() {
    let location = location(json!({})).await;
    let mut stream = TcpStream::connect(location.address).await.unwrap();
    stream.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n<a").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    drop(stream);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(location.engine.count(), 0);
    location.stop().await;
}

#[tokio::test]
async fn several_requests_on_one_connection_are_answered_in_order() {
    let location = location(json!({})).await;
    let one = b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1";
    let last = b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2";
    let answer = raw(location.address, &[&one[..], &one[..], &last[..]].concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 202 ").count(), 3, "{answer}");
    assert_eq!(location.engine.submitted.lock().unwrap().iter().map(bytes).collect::<Vec<_>>(), [b"1", b"1", b"2"]);
    location.stop().await;
}

#[tokio::test]
async fn slow_clients_do_not_keep_others_out() {
    let location = location(json!({ "max_concurrent_requests": 2 })).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(location.address).await.unwrap();
        stream.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n<").await.unwrap();
        slow.push(stream);
    }
    let response = tokio::time::timeout(Duration::from_secs(5), post(&location.url, "x")).await.expect("an answer in time");
    assert_eq!(response.status(), 202);
    drop(slow);
    location.stop().await;
}
