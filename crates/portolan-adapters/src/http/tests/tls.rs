//! HTTPS both ways, with certificates made by the `openssl` command.

use super::{
    destination::{Destination, Reply},
    *,
};
use portolan_model::{Context, MessageId, Timestamp};
use portolan_sdk::{Body, Direction, OutboundMessage};
use std::{path::Path, process::Command};
use tempfile::TempDir;

/// Makes `NAME.pem` and `NAME.key` for 127.0.0.1, signed by itself.
fn certificate(folder: &Path, name: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj"])
        .arg(format!("/CN={name}"))
        .args([
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .output()
        .expect("the openssl command");
    assert!(output.status.success(), "{output:?}");
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "server");
    folder
}

fn files(folder: &TempDir) -> Json {
    json!({ "certificate": folder.path().join("server.pem"), "key": folder.path().join("server.key") })
}

fn curl(folder: &TempDir, more: &[&str], url: &str) -> String {
    let ca = folder.path().join("server.pem");
    let output = Command::new("curl")
        .args(["--noproxy", "*", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "-d", "<a/>", "--cacert"])
        .arg(ca)
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_in_both_versions_of_http() {
    let folder = folder();
    let location = location(json!({ "tls": files(&folder) })).await;
    assert!(location.url.starts_with("https://"));
    assert_eq!(curl(&folder, &["--http2"], &location.url), "202 2");
    assert_eq!(curl(&folder, &["--http1.1"], &location.url), "202 1.1");
    let plain = location.url.replace("https", "http");
    assert!(curl(&folder, &[], &plain).starts_with("000"), "no plain HTTP on a TLS port");
    assert_eq!(location.engine.count(), 2);
    location.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_comes_over_http_2() {
    let folder = folder();
    let location = location(json!({ "tls": files(&folder), "max_body_bytes": 5_000_000 })).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(folder.path().join("server.pem")).unwrap()).unwrap()])
        .build()
        .unwrap();
    let body: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 241) as u8).collect();
    let response = client.post(&location.url).body(body.clone()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (202, reqwest::Version::HTTP_2));
    assert!(bytes(&location.engine.last()) == body);
    let response = client.post(&location.url).body(vec![1; 6_000_000]).send().await.unwrap();
    assert_eq!(response.status(), 413);
    location.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = folder();
    let live = super::super::tls::LiveConfig::new(super::super::tls::TlsFiles {
        certificate: folder.path().join("server.pem"),
        key: folder.path().join("server.key"),
    })
    .unwrap();
    let before = live.current();
    live.look_now();
    assert!(Arc::ptr_eq(&before, &live.current()), "nothing changed");
    std::fs::write(folder.path().join("server.pem"), "half a file").unwrap();
    live.look_now();
    assert!(Arc::ptr_eq(&before, &live.current()), "the old one stays in use");
    certificate(folder.path(), "server");
    live.look_now();
    assert!(!Arc::ptr_eq(&before, &live.current()));
}

#[tokio::test]
async fn another_certificate_on_the_same_listener_is_refused_in_words() {
    let folder = folder();
    let (adapter, address) = (HttpAdapter::default(), free_address());
    let secure = start(&adapter, address, "/a", json!({ "tls": files(&folder) }));
    reachable(address).await;
    let plain = start(&adapter, address, "/b", json!({}));
    eventually("a notice", || plain.engine.notices().iter().any(|n| n.contains("`tls`"))).await;
    plain.stop().await;
    secure.stop().await;
}

fn message() -> OutboundMessage {
    OutboundMessage {
        message: "00000000-0000-0000-0000-00000000000a".parse::<MessageId>().unwrap(),
        instance: "00000000-0000-0000-0000-00000000000b".parse::<InstanceId>().unwrap(),
        context: Context::new(),
        body: Body::from_bytes(&b"<a/>"[..]),
        content_type: None,
        charset: None,
        attempt: 0,
        now: Timestamp(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_port_trusts_its_authority_and_nobody_else() {
    let folder = folder();
    certificate(folder.path(), "other");
    let location = location(json!({ "tls": files(&folder) })).await;
    let sender = |ca: &str| {
        let settings = json!({ "url": location.url, "tls": { "ca": ca } });
        HttpAdapter::default().sender(&settings, Setup { artifact: "port".into(), base: folder.path().into() }).unwrap()
    };
    sender("server.pem").send(message()).await.unwrap();
    assert_eq!(bytes(&location.engine.last()), b"<a/>");
    let error = sender("other.pem").send(message()).await.unwrap_err();
    assert!(error.message.to_lowercase().contains("certificate"), "{error}");
    assert_eq!((error.retry, location.engine.count()), (portolan_sdk::Retry::Temporary, 1));
    location.stop().await;
}

#[test]
fn a_certificate_with_another_key_is_reported_by_the_check() {
    let folder = folder();
    certificate(folder.path(), "other");
    let tls = json!({ "certificate": "server.pem", "key": "other.key" });
    for (direction, settings) in
        [(Direction::Receive, json!({ "path": "/a", "tls": tls })), (Direction::Send, json!({ "url": "https://x/", "tls": tls }))]
    {
        let checked = HttpAdapter::default().check(direction, &settings, folder.path());
        assert_eq!(checked.problems.len(), 1, "{checked:?}");
        assert_eq!(checked.problems[0].path, ["tls"], "{checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown() {
    let folder = folder();
    certificate(folder.path(), "client");
    // A server that demands the client's certificate.
    use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
    let read = |name: &str| super::super::tls::certificates(&folder.path().join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("client.pem").remove(0)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(read("server.pem"), super::super::tls::private_key(&folder.path().join("server.key")).unwrap())
        .unwrap();
    let destination = Destination::start([Reply::Answer(200, "", String::new())]).await;
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", socket.local_addr().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let shared = destination.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(shared.clone().serve(stream));
            }
        }
    });
    let send = async |tls: Json| {
        let settings = json!({ "url": url, "tls": tls });
        let setup = Setup { artifact: "port".into(), base: folder.path().into() };
        HttpAdapter::default().sender(&settings, setup).unwrap().send(message()).await
    };
    assert!(send(json!({ "ca": "server.pem" })).await.is_err());
    send(json!({ "ca": "server.pem", "certificate": "client.pem", "key": "client.key" })).await.unwrap();
    assert_eq!(destination.seen().len(), 1);
}
