//! Sending: names, copy modes, and what happens when the folder does not play along.

use super::engine::{names, setup};
use crate::file::FileAdapter;
use portolan_model::{Context, InstanceId, MessageId, Name, Timestamp, Value, system, time::TimeZone};
use portolan_sdk::{Adapter, AdapterError, Body, OutboundMessage, Retry, SendAdapter};
use serde_json::json;
use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::Arc,
};
use uuid::Uuid;

/// A sender to a folder.
fn sender(folder: &Path, settings: serde_json::Value) -> Arc<dyn SendAdapter> {
    let mut all = json!({ "folder": folder });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    FileAdapter::default().sender(&all, setup()).unwrap()
}

fn message(body: impl Into<bytes::Bytes>) -> OutboundMessage {
    OutboundMessage {
        message: MessageId(Uuid::from_u128(0xabc)),
        instance: InstanceId(Uuid::from_u128(1)),
        context: Context::new(),
        body: Body::from_bytes(body),
        content_type: None,
        charset: None,
        attempt: 0,
        now: Timestamp::parse("2026-07-12T10:35:23.456Z", &TimeZone::UTC).unwrap(),
    }
}

fn with(mut message: OutboundMessage, name: Name, value: Value) -> OutboundMessage {
    message.context.write(name, value);
    message
}

async fn send(folder: &Path, settings: serde_json::Value, message: OutboundMessage) -> Result<(), AdapterError> {
    sender(folder, settings).send(message).await
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A body that breaks after some bytes.
struct Breaks(u64);
impl Read for Breaks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the store is gone"));
        }
        let count = usize::try_from(self.0).unwrap().min(buf.len());
        buf[..count].fill(b'x');
        self.0 -= count as u64;
        Ok(count)
    }
}
impl Seek for Breaks {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

fn breaking() -> OutboundMessage {
    OutboundMessage { body: Body::from_stream(Breaks(1_000_000), None), ..message("") }
}

#[tokio::test]
async fn the_default_name_is_the_message_id_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    send(dir.path(), json!({}), message("<a/>")).await.unwrap();
    assert_eq!(names(dir.path()), ["{00000000-0000-0000-0000-000000000ABC}.xml"]);
    assert_eq!(text(dir.path(), "{00000000-0000-0000-0000-000000000ABC}.xml"), "<a/>");
}

#[tokio::test]
async fn every_macro_has_its_documented_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut message = message("x");
    let context = &mut message.context;
    context.write(system::file::RECEIVED_FILE_NAME, Value::string("/in/deep\\Order 1.xml"));
    context.write(system::bts::RECEIVE_PORT_NAME, Value::string("Orders"));
    context.write(Name::new("http://own", "Country"), Value::string("DE"));
    context.write(Name::new(system::namespace_of("BTS").unwrap(), "SourceParty"), Value::string("Fabrikam"));
    context.write(system::bts::INTERCHANGE_SEQUENCE_NUMBER, Value::Int32(7));
    let sender = |name: &str| sender(dir.path(), json!({ "file_name": name, "time_zone": "Asia/Kolkata", "copy_mode": "overwrite" }));
    for (name, want) in [
        ("%SourceFileName%", "Order 1.xml"),
        ("%datetime%", "2026-07-12T103523"),
        ("%datetime_bts2000%", "202607121035234"),
        ("%datetime.tz%", "2026-07-12T160523+530"),
        ("%time%", "103523"),
        ("%time.tz%", "160523+530"),
        ("%SourceParty%-%SourcePartyQualifier%", "Fabrikam-%SourcePartyQualifier%"),
        ("a%{BTS.ReceivePortName}%b", "aOrdersb"),
        ("%{Own.Country}%_%{http://own#Country}%", "DE_DE"),
        ("%{BTS.InterchangeSequenceNumber}%", "7"),
        ("%messageid%", "{00000000-0000-0000-0000-000000000ABC}"),
        ("50%.xml", "50%.xml"),
        ("%%MessageID%%", "%{00000000-0000-0000-0000-000000000ABC}%"),
        ("%DestinationParty%.%unknown%.%{BTS.Nothing}%", "%DestinationParty%.%unknown%.%{BTS.Nothing}%"),
    ] {
        let message = OutboundMessage { body: Body::from_bytes("x"), context: message.context.clone(), ..self::message("") };
        sender(name).send(message).await.unwrap();
        assert_eq!(names(dir.path()), [want], "{name}");
        fs::remove_file(dir.path().join(want)).unwrap();
    }
}

#[tokio::test]
async fn hours_west_of_greenwich_have_a_minus_and_utc_has_plus_zero() {
    for (zone, want) in [("America/St_Johns", "080523-230"), ("UTC", "103523+000")] {
        let dir = tempfile::tempdir().unwrap();
        send(dir.path(), json!({ "file_name": "%time.tz%", "time_zone": zone }), message("x")).await.unwrap();
        assert_eq!(names(dir.path()), [want]);
    }
}

#[tokio::test]
async fn no_value_leads_out_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("out");
    fs::create_dir(&folder).unwrap();
    for evil in ["../evil", "..", ".", "/etc/evil", "a/../../evil", "..\\evil", "a\0b", "a\nb", ""] {
        let context = |m| with(m, system::bts::RECEIVE_PORT_NAME, Value::string(evil));
        let _ = send(&folder, json!({ "file_name": "%{BTS.ReceivePortName}%", "copy_mode": "overwrite" }), context(message("x"))).await;
        let target = with(message("x"), system::file::TARGET_FILE_NAME, Value::string(evil));
        let error = send(&folder, json!({}), target).await.unwrap_err();
        assert_eq!((error.code.id, error.retry), ("PTL0206", Retry::Permanent), "{evil:?}: {error}");
        let source = with(message("x"), system::file::RECEIVED_FILE_NAME, Value::string(evil));
        let _ = send(&folder, json!({ "file_name": "%SourceFileName%", "copy_mode": "overwrite" }), source).await;
    }
    assert_eq!(names(dir.path()), ["out"]);
    let left = names(&folder);
    assert!(left.iter().all(|n| n == "%{BTS.ReceivePortName}%" || n == "%SourceFileName%" || n == "evil"), "{left:?}");
}

#[tokio::test]
async fn a_name_that_cannot_be_is_refused_for_good_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let long = with(message("x"), system::bts::RECEIVE_PORT_NAME, Value::string("ä".repeat(130)));
    let error = send(dir.path(), json!({ "file_name": "%{BTS.ReceivePortName}%" }), long).await.unwrap_err();
    assert_eq!(error.retry, Retry::Permanent);
    assert!(error.message.contains("has 260 bytes, and at most 255"), "{error}");
    let reserved = with(message("x"), system::file::TARGET_FILE_NAME, Value::string(".portolan-x.tmp"));
    assert!(send(dir.path(), json!({}), reserved).await.unwrap_err().message.contains("reserved"));
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn create_new_fails_when_the_file_exists_and_says_what_to_do() {
    for temporary in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let settings = json!({ "file_name": "a.xml", "use_temp_file": temporary });
        send(dir.path(), settings.clone(), message("one")).await.unwrap();
        let error = send(dir.path(), settings, message("two")).await.unwrap_err();
        assert_eq!((error.code.id, error.retry), ("PTL0202", Retry::Temporary));
        assert!(error.message.contains("a.xml exists, and the copy mode is create_new"), "{error}");
        assert_eq!((text(dir.path(), "a.xml"), names(dir.path()).len()), ("one".to_owned(), 1));
    }
}

#[tokio::test]
async fn a_message_sent_again_after_a_crash_meets_its_own_file() {
    for temporary in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let settings = json!({ "use_temp_file": temporary });
        send(dir.path(), settings.clone(), message("one")).await.unwrap();
        send(dir.path(), settings.clone(), message("one")).await.unwrap();
        for other in ["two", "on", "onx", ""] {
            assert!(send(dir.path(), settings.clone(), message(other)).await.is_err(), "{other}");
        }
        // Half a file of the same message is left only where there is no temporary file.
        let more = send(dir.path(), settings.clone(), message("one more")).await;
        assert_eq!(more.is_ok(), !temporary);
        assert_eq!(text(dir.path(), &names(dir.path())[0]), if temporary { "one" } else { "one more" });
        // Without the message id in its name an equal file may be another message.
        let settings = json!({ "use_temp_file": temporary, "file_name": "a.xml" });
        send(dir.path(), settings.clone(), message("one")).await.unwrap();
        assert!(send(dir.path(), settings, message("one")).await.is_err());
    }
}

#[tokio::test]
async fn overwrite_replaces_and_append_adds() {
    let dir = tempfile::tempdir().unwrap();
    for temporary in [true, false] {
        let settings = json!({ "file_name": "o.xml", "copy_mode": "overwrite", "use_temp_file": temporary });
        for body in ["first and long", "second"] {
            send(dir.path(), settings.clone(), message(body)).await.unwrap();
            assert_eq!(text(dir.path(), "o.xml"), body);
        }
    }
    let sender = sender(dir.path(), json!({ "file_name": "a.txt", "copy_mode": "append" }));
    let lines: Vec<String> = (0..20).map(|i| format!("{}\n", i.to_string().repeat(5000))).collect();
    let sends: Vec<_> = lines.iter().map(|line| sender.send(message(line.clone()))).collect();
    futures_util::future::try_join_all(sends).await.unwrap();
    let mut written: Vec<String> = text(dir.path(), "a.txt").lines().map(|l| format!("{l}\n")).collect();
    written.sort();
    let mut wanted = lines;
    wanted.sort();
    assert!(written == wanted, "appends of several messages are never mixed");
}

#[tokio::test]
async fn the_context_beats_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let append = || with(message("x"), system::file::COPY_MODE, Value::UInt32(0));
    let settings = json!({ "file_name": "a.txt" });
    send(dir.path(), settings.clone(), append()).await.unwrap();
    send(dir.path(), settings.clone(), append()).await.unwrap();
    assert_eq!(text(dir.path(), "a.txt"), "xx");
    let overwrite = with(message("y"), system::file::COPY_MODE, Value::Int32(2));
    let overwrite = with(overwrite, system::file::USE_TEMP_FILE_ON_WRITE, Value::Boolean(false));
    send(dir.path(), settings.clone(), overwrite).await.unwrap();
    assert_eq!(text(dir.path(), "a.txt"), "y");
    let named = with(message("z"), system::file::TARGET_FILE_NAME, Value::string("t-%time%.txt"));
    send(dir.path(), settings.clone(), named).await.unwrap();
    assert_eq!(text(dir.path(), "t-103523.txt"), "z");
    let wrong = with(message("z"), system::file::COPY_MODE, Value::UInt32(3));
    let error = send(dir.path(), settings, wrong).await.unwrap_err();
    assert!(error.retry == Retry::Permanent && error.message.contains("FILE.CopyMode is \"3\""), "{error}");
}

#[tokio::test]
async fn a_failing_body_leaves_the_folder_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "before").unwrap();
    for settings in [
        json!({}),
        json!({ "use_temp_file": false }),
        json!({ "file_name": "a.txt", "copy_mode": "overwrite" }),
        json!({ "file_name": "a.txt", "copy_mode": "append" }),
        json!({ "file_name": "new.txt", "copy_mode": "append" }),
    ] {
        let error = send(dir.path(), settings.clone(), breaking()).await.unwrap_err();
        assert_eq!(error.retry, Retry::Temporary);
        assert!(error.message.contains("the body of the message cannot be read: the store is gone"), "{error}");
        assert_eq!((names(dir.path()), text(dir.path(), "a.txt")), (vec!["a.txt".to_owned()], "before".to_owned()), "{settings}");
    }
}

#[tokio::test]
async fn a_folder_that_is_missing_or_no_folder_is_told_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("deep/out");
    for temporary in [true, false] {
        let error = send(&folder, json!({ "use_temp_file": temporary }), message("x")).await.unwrap_err();
        assert_eq!((error.code.id, error.retry), ("PTL0202", Retry::Temporary));
        assert!(error.message.contains(&format!("folder {} does not exist", folder.display())), "{error}");
    }
    send(&folder, json!({ "create_folder": true }), message("x")).await.unwrap();
    assert_eq!(names(&folder).len(), 1);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = send(&file, json!({}), message("x")).await.unwrap_err();
    assert!(error.retry == Retry::Temporary && error.message.contains("file"), "{error}");
    fs::create_dir(folder.join("a.xml")).unwrap();
    for mode in ["overwrite", "append", "create_new"] {
        let error = send(&folder, json!({ "file_name": "a.xml", "copy_mode": mode }), message("x")).await.unwrap_err();
        assert!(error.retry == Retry::Temporary && error.message.contains("a.xml"), "{error}");
    }
    assert_eq!(names(&folder).len(), 2);
}

#[tokio::test]
async fn a_link_in_the_folder_does_not_lead_out_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (outside, folder) = (dir.path().join("outside"), dir.path().join("out"));
    fs::create_dir(&folder).unwrap();
    fs::write(&outside, "untouched").unwrap();
    for (mode, temporary) in [("append", true), ("overwrite", false), ("create_new", true), ("create_new", false), ("overwrite", true)] {
        let link = folder.join("a.xml");
        if fs::symlink_metadata(&link).is_err() {
            symlink(&outside, &link).unwrap();
        }
        let _ = send(&folder, json!({ "file_name": "a.xml", "copy_mode": mode, "use_temp_file": temporary }), message("x")).await;
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched", "{mode}");
    }
    assert_eq!(text(&folder, "a.xml"), "x", "the link itself was overwritten");
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path()).output().is_ok_and(|o| o.status.success());
    if !mounted {
        println!("skipped: needs the right to mount");
        return;
    }
    let big = vec![b'x'; 1_000_000];
    let mut results = Vec::new();
    for settings in [json!({}), json!({ "use_temp_file": false }), json!({ "file_name": "a.txt", "copy_mode": "append" })] {
        let error = send(dir.path(), settings, message(big.clone())).await.unwrap_err();
        results.push((error.retry, error.message, names(dir.path())));
    }
    let small = send(dir.path(), json!({}), message("x")).await;
    assert!(Command::new("umount").arg(dir.path()).status().unwrap().success());
    for (retry, message, names) in results {
        assert!(retry == Retry::Temporary && message.ends_with("the disk is full"), "{message}");
        assert!(names.is_empty(), "{names:?}");
    }
    small.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_files_of_a_crash_are_deleted_at_the_start_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let id = Uuid::from_u128(5).simple();
    let (left, live) = (format!(".portolan-{id}.tmp"), format!(".portolan-{}.tmp", Uuid::from_u128(6).simple()));
    for name in [&left, &live, ".portolan-notes.tmp", ".portolan-x", "a.tmp"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let writer = fs::File::options().write(true).open(dir.path().join(&live)).unwrap();
    writer.lock().unwrap();
    let _sender = sender(dir.path(), json!({}));
    super::engine::until("it is gone", || !names(dir.path()).contains(&left)).await;
    super::engine::pause(100).await;
    let mut rest = vec![live.clone(), ".portolan-notes.tmp".to_owned(), ".portolan-x".to_owned(), "a.tmp".to_owned()];
    rest.sort();
    assert_eq!(names(dir.path()), rest);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_at_once_have_a_file_each() {
    let dir = tempfile::tempdir().unwrap();
    let sender = sender(dir.path(), json!({}));
    let sends: Vec<_> = (0..300u128)
        .map(|i| {
            let sender = sender.clone();
            tokio::spawn(
                async move { sender.send(OutboundMessage { message: MessageId(Uuid::from_u128(i)), ..message(i.to_string()) }).await },
            )
        })
        .collect();
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(names(dir.path()).len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_copied_in_pieces() {
    struct Counts(u64);
    impl Read for Counts {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(buf.len() <= 1 << 20, "asked for {} bytes at once", buf.len());
            let count = buf.len().min(usize::try_from(self.0).unwrap());
            self.0 -= count as u64;
            Ok(count)
        }
    }
    impl Seek for Counts {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let body = Body::from_stream(Counts(100 << 20), None);
    send(dir.path(), json!({ "file_name": "a" }), OutboundMessage { body, ..message("") }).await.unwrap();
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().len(), 100 << 20);
}
