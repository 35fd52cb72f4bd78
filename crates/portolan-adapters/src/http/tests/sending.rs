//! What destinations get, and what their answers mean.

use super::{
    destination::{Destination, Reply},
    *,
};
use portolan_model::{Context, MessageId, Timestamp, Value, system};
use portolan_sdk::{Body, OutboundMessage, Retry, SendAdapter};
use std::{
    io::{self, Cursor, Seek, SeekFrom},
    time::Instant,
};

fn ok() -> Reply {
    Reply::Answer(200, "", "fine".into())
}

fn answer(status: u16) -> Reply {
    Reply::Answer(status, "", format!("status {status}"))
}

fn sender(url: &str, more: Json) -> Arc<dyn SendAdapter> {
    let mut settings = json!({ "url": url });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    HttpAdapter::default().sender(&settings, setup("port")).unwrap()
}

fn message(body: Body) -> OutboundMessage {
    OutboundMessage {
        message: "00000000-0000-0000-0000-00000000000a".parse::<MessageId>().unwrap(),
        instance: "00000000-0000-0000-0000-00000000000b".parse::<InstanceId>().unwrap(),
        context: Context::new(),
        body,
        content_type: None,
        charset: None,
        attempt: 0,
        now: Timestamp(0),
    }
}

fn small() -> OutboundMessage {
    message(Body::from_bytes(&b"<a/>"[..]))
}

/// A body of `length` bytes that is not in memory.
fn streamed(length: usize, known: bool) -> Body {
    let bytes: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
    Body::from_stream(Cursor::new(bytes), known.then_some(length as u64))
}

#[tokio::test]
async fn one_message_is_one_request_that_says_which_message_it_is() {
    let destination = Destination::start([ok()]).await;
    let sender =
        sender(&destination.url("/in?a=b"), json!({ "headers": { "X-Key": "k" }, "authentication": { "bearer": { "token": "t" } } }));
    sender.send(small()).await.unwrap();
    let seen = destination.seen().remove(0);
    assert!(seen.head.starts_with("POST /in?a=b HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, b"<a/>");
    for (name, value) in [
        ("content-type", "text/xml"),
        ("content-length", "4"),
        ("authorization", "Bearer t"),
        ("x-key", "k"),
        ("idempotency-key", "00000000-0000-0000-0000-00000000000b"),
        ("portolan-message-id", "00000000-0000-0000-0000-00000000000a"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let put = super::sending::sender(
        &destination.url("/in"),
        json!({ "method": "PUT", "content_type": "a/b", "authentication": { "basic": { "user": "u", "password": "p" } } }),
    );
    put.send(small()).await.unwrap();
    let seen = destination.seen().remove(1);
    assert!(seen.head.starts_with("PUT /in "));
    assert_eq!((seen.header("content-type"), seen.header("authorization")), (Some("a/b"), Some("Basic dTpw")));
}

#[tokio::test]
async fn a_large_body_is_streamed_with_its_length_or_in_chunks() {
    let destination = Destination::start([ok()]).await;
    let sender = sender(&destination.url("/"), json!({}));
    for known in [true, false] {
        sender.send(message(streamed(3_000_000, known))).await.unwrap();
        let seen = destination.seen().pop().unwrap();
        assert_eq!(seen.header("content-length"), known.then_some("3000000"));
        assert_eq!(seen.header("transfer-encoding"), (!known).then_some("chunked"));
        assert_eq!(seen.body.len(), 3_000_000);
        assert!(seen.body.iter().enumerate().all(|(n, b)| *b == (n % 253) as u8));
    }
}

#[tokio::test]
async fn statuses_decide_between_delivered_tried_again_and_refused() {
    for (status, want) in [
        (200, None),
        (202, None),
        (204, None),
        (408, Some(Retry::Temporary)),
        (425, Some(Retry::Temporary)),
        (429, Some(Retry::Temporary)),
        (500, Some(Retry::Temporary)),
        (503, Some(Retry::Temporary)),
        (400, Some(Retry::Permanent)),
        (401, Some(Retry::Permanent)),
        (404, Some(Retry::Permanent)),
        (303, Some(Retry::Permanent)),
        (304, Some(Retry::Permanent)),
    ] {
        let reply = if status == 204 { Reply::Answer(204, "", String::new()) } else { answer(status) };
        let destination = Destination::start([reply]).await;
        let result = sender(&destination.url("/"), json!({})).send(small()).await;
        assert_eq!(result.as_ref().err().map(|e| e.retry), want, "{status}: {result:?}");
        if let Err(error) = result {
            let code = if error.retry == Retry::Temporary { "PTL0202" } else { "PTL0206" };
            assert_eq!(error.code.id, code);
            assert!(error.message.contains(&format!("status {status}")) || status == 304, "{error}");
        }
        assert_eq!(destination.seen().len(), 1, "retrying is the engine's work");
    }
}

#[tokio::test]
async fn statuses_can_be_configured() {
    let destination = Destination::start([answer(404), answer(500), answer(418), answer(200)]).await;
    let sender = sender(&destination.url("/"), json!({ "retry_statuses": [404], "success_statuses": ["418"] }));
    assert_eq!(sender.send(small()).await.unwrap_err().retry, Retry::Temporary);
    assert_eq!(sender.send(small()).await.unwrap_err().retry, Retry::Permanent);
    sender.send(small()).await.unwrap();
    assert_eq!(sender.send(small()).await.unwrap_err().retry, Retry::Permanent);
}

#[tokio::test]
async fn a_failure_tells_where_and_why_without_secrets_or_control_characters() {
    let destination = Destination::start([Reply::Answer(
        503,
        "Retry-After: 120\r\n",
        format!("bad\u{1b}[31m\r\n tok3n-secret q-secret {}", "x".repeat(5000)),
    )])
    .await;
    let more = json!({ "authentication": { "bearer": { "token": "tok3n-secret" } } });
    let error = sender(&destination.url("/p?code=q-secret"), more).send(small()).await.unwrap_err();
    assert!(error.message.starts_with(&format!("POST http://{}/p?… was answered with 503", destination.address)), "{error}");
    assert!(error.message.contains("asks to wait: 120") && error.message.contains("bad [31m *** ***"), "{error}");
    assert!(!error.message.contains("secret") && !error.message.chars().any(char::is_control) && error.message.len() < 800);
}

#[tokio::test]
async fn a_destination_without_a_complete_answer_has_not_got_the_message() {
    for reply in [Reply::Drop, Reply::HalfHeader, Reply::Stall] {
        let destination = Destination::start([reply.clone()]).await;
        let sender = sender(&destination.url("/"), json!({ "timeout_seconds": 1 }));
        let started = Instant::now();
        let error = sender.send(small()).await.unwrap_err();
        assert_eq!((error.retry, error.code.id), (Retry::Temporary, "PTL0202"), "{reply:?}");
        assert!(error.message.contains("may have the message all the same"), "{reply:?}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    // The status came: the message is there, whatever becomes of the rest of the answer.
    let destination = Destination::start([Reply::HalfBody]).await;
    sender(&destination.url("/"), json!({})).send(small()).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_temporary_and_says_so() {
    let error = sender(&format!("http://{}/", free_address()), json!({})).send(small()).await.unwrap_err();
    assert_eq!((error.retry, error.code.id), (Retry::Temporary, "PTL0202"));
    assert!(error.message.contains("could not connect") && error.message.contains("refused"), "{error}");
    let error = sender("http://nowhere.invalid/", json!({ "connect_timeout_seconds": 5 })).send(small()).await.unwrap_err();
    assert_eq!(error.retry, Retry::Temporary);
}

#[tokio::test]
async fn a_connection_closed_between_two_messages_costs_nothing() {
    let destination = Destination::start([Reply::Answer(200, "Connection: close\r\n", "x".into()), ok()]).await;
    let sender = sender(&destination.url("/"), json!({}));
    for _ in 0..5 {
        sender.send(small()).await.unwrap();
    }
    assert_eq!(destination.seen().len(), 5);
}

#[tokio::test]
async fn an_early_refusal_of_a_large_body_is_understood() {
    let destination = Destination::start([Reply::Early(413)]).await;
    let error =
        sender(&destination.url("/"), json!({ "timeout_seconds": 10 })).send(message(streamed(50_000_000, true))).await.unwrap_err();
    // A destination that closes while we write may hide its answer: then it is tried again.
    assert!(error.message.contains("413") || error.retry == Retry::Temporary, "{error}");
}

#[tokio::test]
async fn redirects_keep_method_and_body() {
    for status in [301, 302, 307, 308] {
        for body in [Body::from_bytes(&b"<a/>"[..]), streamed(200_000, true)] {
            let length = body.length().unwrap() as usize;
            let destination = Destination::start([Reply::Answer(status, "Location: /there\r\n", String::new()), ok()]).await;
            sender(&destination.url("/here"), json!({ "method": "PUT", "headers": { "x-key": "k" } })).send(message(body)).await.unwrap();
            let seen = destination.seen();
            assert!(seen[1].head.starts_with("PUT /there "), "{status}: {}", seen[1].head);
            assert_eq!((seen[1].body.len(), seen[1].header("x-key")), (length, Some("k")));
        }
    }
}

#[tokio::test]
async fn redirects_have_a_limit_and_303_is_none() {
    let around = Reply::Answer(307, "Location: /again\r\n", String::new());
    let destination = Destination::start([around.clone()]).await;
    let error = sender(&destination.url("/"), json!({ "max_redirects": 2 })).send(small()).await.unwrap_err();
    assert_eq!((error.retry, destination.seen().len()), (Retry::Permanent, 3));
    assert!(error.message.contains("2 allowed"), "{error}");
    let error = sender(&destination.url("/"), json!({ "max_redirects": 0 })).send(small()).await.unwrap_err();
    assert_eq!(error.retry, Retry::Permanent);
    let destination = Destination::start([Reply::Answer(303, "Location: /result\r\n", String::new())]).await;
    assert!(sender(&destination.url("/"), json!({})).send(small()).await.is_err());
    sender(&destination.url("/"), json!({ "success_statuses": ["2xx", 303] })).send(small()).await.unwrap();
    assert_eq!(destination.seen().len(), 2, "a GET would not deliver the message");
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let stranger = Destination::start([ok()]).await;
    let location: &'static str = Box::leak(format!("Location: http://user:pw@{}/there\r\n", stranger.address).into_boxed_str());
    let destination = Destination::start([Reply::Answer(307, location, String::new())]).await;
    let more = json!({ "headers": { "x-key": "k" }, "authentication": { "basic": { "user": "u", "password": "p" } } });
    sender(&destination.url("/"), more).send(small()).await.unwrap();
    let seen = stranger.seen().remove(0);
    assert_eq!((seen.header("authorization"), seen.header("x-key")), (None, None), "{}", seen.head);
    assert_eq!((seen.body.as_slice(), seen.header("content-type")), (&b"<a/>"[..], Some("text/xml")));
}

#[tokio::test]
async fn context_properties_change_a_dynamic_send_and_user_headers_every_send() {
    let destination = Destination::start([ok()]).await;
    let sender = sender(&destination.url("/"), json!({ "headers": { "accept": "a/a" } }));
    let send = async |dynamic: bool| {
        let mut message = small();
        message.content_type = Some("part/type".into());
        message.context.write(system::http::CONTENT_TYPE, Value::string("context/type"));
        message.context.write(system::http::USER_HTTP_HEADERS, Value::string("Accept: b/b\r\nX-More: 1\r\nHost: evil\r\n"));
        message.context.write(system::bts::IS_DYNAMIC_SEND, Value::Boolean(dynamic));
        sender.send(message).await.unwrap();
        destination.seen().pop().unwrap()
    };
    let seen = send(false).await;
    assert_eq!((seen.header("content-type"), seen.header("accept"), seen.header("x-more")), (Some("part/type"), Some("b/b"), Some("1")));
    assert_eq!(seen.header("host").unwrap(), destination.address.to_string());
    assert_eq!(send(true).await.header("content-type"), Some("context/type"));

    let destination = Destination::start([Reply::Stall]).await;
    let mut message = small();
    message.context.write(system::http::REQUEST_TIMEOUT, Value::Int32(1));
    message.context.write(system::bts::IS_DYNAMIC_SEND, Value::Boolean(true));
    let error = super::sending::sender(&destination.url("/"), json!({})).send(message).await.unwrap_err();
    assert!(error.message.contains("within 1 s"), "{error}");

    let mut message = small();
    message.context.write(system::http::USER_HTTP_HEADERS, Value::string("no header"));
    assert_eq!(sender.send(message).await.unwrap_err().retry, Retry::Permanent);
}

/// Fails after some bytes.
struct Broken(u64);

impl Read for Broken {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0 > 200_000 {
            return Err(io::Error::other("a piece of the body is damaged"));
        }
        self.0 += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Seek for Broken {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        self.0 = 0;
        Ok(0)
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_not_sent_as_if_it_were_whole() {
    let destination = Destination::start([ok()]).await;
    let sender = sender(&destination.url("/"), json!({}));
    for length in [None, Some(1_000_000)] {
        let error = sender.send(message(Body::from_stream(Broken(0), length))).await.unwrap_err();
        assert!(error.message.contains("a piece of the body is damaged"), "{error}");
        assert_eq!(error.retry, Retry::Temporary);
    }
    assert!(destination.seen().is_empty());
}

#[tokio::test]
async fn a_proxy_is_used_only_when_configured() {
    let proxy = Destination::start([ok()]).await;
    let more = json!({ "proxy": { "url": proxy.url(""), "user": "u", "password": "p" } });
    sender("http://partner.invalid/in", more).send(small()).await.unwrap();
    let seen = proxy.seen().remove(0);
    assert!(seen.head.starts_with("POST http://partner.invalid/in "), "{}", seen.head);
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dTpw"));
}
