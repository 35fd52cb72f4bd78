//! Locations that share a listener, come and go; ports that are taken; graceful stops.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn locations_share_a_listener_by_path_and_come_and_go_alone() {
    let (adapter, address) = (HttpAdapter::default(), free_address());
    let a = start(&adapter, address, "/a", json!({}));
    reachable(address).await;
    let b = start(&adapter, address, "/b", json!({}));
    let url_b = b.url.clone();
    entered(&b).await;
    assert_eq!((post(&a.url, "1").await.status().as_u16(), post(&b.url, "2").await.status().as_u16()), (202, 202));
    assert_eq!((a.engine.count(), b.engine.count()), (1, 1));
    b.stop().await;
    let response = post(&url_b, "3").await;
    assert_eq!(response.status(), 503, "a disabled location may come back: the client should try again");
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(problem(response).await["type"], "urn:portolan:http:location-disabled");
    assert_eq!(post(&a.url, "4").await.status(), 202);
    let b = start(&adapter, address, "/b", json!({}));
    entered(&b).await;
    assert_eq!(post(&b.url, "5").await.status(), 202);
    a.stop().await;
    b.stop().await;
    assert!(std::net::TcpListener::bind(address).is_ok(), "the last location closes the listener");
}

#[tokio::test]
async fn the_same_path_twice_is_said_and_heals_when_the_first_leaves() {
    let (adapter, address) = (HttpAdapter::default(), free_address());
    let first = start(&adapter, address, "/a", json!({}));
    reachable(address).await;
    let second = start(&adapter, address, "/a", json!({}));
    eventually("a notice", || !second.engine.notices().is_empty()).await;
    let notice = second.engine.notices().remove(0);
    assert!(notice.starts_with("PTL0305") && notice.contains("location /a") && notice.contains("the path /a"), "{notice}");
    assert_eq!(post(&first.url, "1").await.status(), 202);
    first.stop().await;
    eventually("recovery", || second.engine.notices().last().is_some_and(|n| n == "recovered")).await;
    assert_eq!(post(&second.url, "2").await.status(), 202);
    second.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_said_and_tried_again() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let location = start(&HttpAdapter::default(), address, "/a", json!({}));
    eventually("a notice", || location.engine.notices().iter().any(|n| n.starts_with("PTL0305") && n.contains(&address.to_string()))).await;
    drop(taken);
    eventually("recovery", || location.engine.notices().last().is_some_and(|n| n == "recovered")).await;
    assert_eq!(post(&location.url, "1").await.status(), 202);
    location.stop().await;
}

#[tokio::test]
async fn a_location_that_cannot_listen_can_be_stopped() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let location = start(&HttpAdapter::default(), taken.local_addr().unwrap(), "/a", json!({}));
    eventually("a notice", || !location.engine.notices().is_empty()).await;
    location.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_being_committed_and_takes_nothing_more() {
    let location = location(json!({})).await;
    location.engine.mood(Mood::Slow(Duration::from_millis(600)));
    let client = client();
    let request = tokio::spawn(client.post(&location.url).body("<a/>").send());
    location.engine.begun(1).await;
    // A client that is still sending its body when the stop comes.
    let mut slow = tokio::net::TcpStream::connect(location.address).await.unwrap();
    slow.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"<a").await.unwrap();
    let (engine, address) = (location.engine.clone(), location.address);
    let stopping = tokio::spawn(location.stop());
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert!(client.post(format!("http://{address}/in")).body("x").send().await.is_err(), "nobody listens any more");
    assert_eq!(request.await.unwrap().unwrap().status(), 202);
    stopping.await.unwrap();
    assert_eq!(engine.count(), 1);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_stop() {
    let location = location(json!({})).await;
    let client = client();
    client.post(&location.url).body("x").send().await.unwrap().bytes().await.unwrap();
    let half = tokio::net::TcpStream::connect(location.address).await.unwrap();
    tokio::time::timeout(Duration::from_secs(8), location.stop()).await.expect("a stop in time");
    drop(half);
}

#[tokio::test]
async fn a_location_thrown_away_leaves_its_listener() {
    let location = location(json!({})).await;
    let address = location.address;
    location.task.abort();
    eventually("a closed listener", || std::net::TcpListener::bind(address).is_ok()).await;
}

#[tokio::test]
async fn other_machines_need_credentials_and_a_location_without_them_does_not_start() {
    let adapter = HttpAdapter::default();
    let settings = json!({ "listen": "0.0.0.0:8081", "path": "/a" });
    let Err(error) = adapter.receiver(&settings, setup("open")) else { panic!("it must not start") };
    assert!(error.message.contains("0.0.0.0:8081 can be reached from other machines"), "{error}");
    assert_eq!(error.retry, portolan_sdk::Retry::Permanent);
}
