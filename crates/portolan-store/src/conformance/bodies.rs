//! Cases of messages and stored bodies: written once, read at any offset, gone with the last owner.

use super::{
    fixture::{act, complete, failure, publish, publish_claimed, require, suspend},
    harness::{Harness, NOW, SCOPE},
};
use crate::{
    ask,
    batch::{Action, Operation},
    error::StoreErrorKind,
    query::Selection,
};
use bytes::Bytes;
use portolan_model::{BodyId, BodyRef, Part, PartContent, SmolStr, instance::Instance};

const GONE: Result<Vec<u8>, StoreErrorKind> = Err(StoreErrorKind::NotFound);

pub(super) async fn a_message_goes_with_its_last_subscriber(mut h: Harness) {
    let message = h.message("<order/>");
    let other = h.message("<other/>");
    let (id, other_id) = (message.id, other.id);
    let instances: Vec<Instance> = ["A", "B", "C"].iter().map(|port| h.ready(&message, port)).collect();
    let there: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    let keeper = h.ready(&other, "A");
    h.commit(vec![publish(message.clone(), instances), publish(other, vec![keeper])]).await;
    for done in &there {
        h.step().await;
        assert_eq!(ask::message(h.store(), id).await.unwrap().as_deref(), Some(&message));
        assert_eq!(h.commit(vec![complete(*done)]).await, [1]);
    }
    h.step().await;
    assert!(!h.has_message(id).await, "nobody carries it any more");
    assert!(h.has_message(other_id).await, "another message of the same batch stays");
}

pub(super) async fn a_stored_body_is_shared_and_goes_with_the_last_subscriber(mut h: Harness) {
    let (first, second) = (h.put_body(&[b"one ", b"large ", b"body"]).await, h.put_body(&[b"attachment"]).await);
    let mut message = h.message_of(first);
    message.parts.push(Part { name: SmolStr::new("attachment"), content_type: None, charset: None, content: PartContent::Stored(second) });
    message.parts.push(Part { name: SmolStr::new("note"), content_type: None, charset: None, content: PartContent::Inline("n".into()) });
    let instances: Vec<Instance> = ["A", "B", "C"].iter().map(|port| h.ready(&message, port)).collect();
    let there: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    h.commit(vec![publish(message.clone(), instances)]).await;
    for done in there {
        h.step().await;
        assert_eq!(h.body(first, 1 << 20).await.unwrap(), b"one large body");
        assert_eq!(h.body(second, 1 << 20).await.unwrap(), b"attachment");
        assert_eq!(ask::message(h.store(), message.id).await.unwrap().as_deref(), Some(&message));
        h.commit(vec![complete(done)]).await;
    }
    assert_eq!(h.body(first, 1 << 20).await, GONE);
    assert_eq!(h.body(second, 1 << 20).await, GONE);
    h.step().await;
    assert_eq!(h.body(first, 1 << 20).await, GONE, "and stays gone");
}

pub(super) async fn a_stored_body_reads_back_at_any_offset(mut h: Harness) {
    let text = b"The quick brown fox jumps over the lazy dog";
    let body = h.put_body(&[&text[..1], &text[1..10], &text[10..10], &text[10..30], &text[30..]]).await;
    assert_eq!(h.body(body, 7).await.unwrap(), text, "while it is being written");
    let message = h.message_of(body);
    let instance = h.ready(&message, "A");
    h.commit(vec![publish(message, vec![instance])]).await;
    h.step().await;
    for max in [1, 2, 9, 10, 11, 1000] {
        assert_eq!(h.body(body, max).await.unwrap(), text, "{max} bytes at a time");
    }
    for offset in 0..text.len() {
        let read = h.store().read_body(body, offset as u64, 5).await.unwrap();
        assert!(!read.is_empty() && text[offset..].starts_with(&read), "at {offset}: {read:?}");
    }
    for offset in [text.len() as u64, text.len() as u64 + 1, u64::MAX] {
        assert_eq!(h.store().read_body(body, offset, 5).await.unwrap(), "", "at {offset}");
    }
    assert_eq!(h.store().read_body(body, 3, 0).await.unwrap(), "");
    let never = BodyRef { id: BodyId(h.id()), length: 3 };
    assert_eq!(h.body(never, 10).await, GONE);
}

pub(super) async fn an_empty_stored_body_is_a_body(mut h: Harness) {
    let body = h.put_body(&[b""]).await;
    let message = h.message_of(body);
    let instance = h.ready(&message, "A");
    let id = instance.id;
    h.commit(vec![publish(message, vec![instance])]).await;
    h.step().await;
    assert_eq!(h.body(body, 10).await.unwrap(), b"");
    h.commit(vec![complete(id)]).await;
    assert_eq!(h.body(body, 10).await, GONE);
}

pub(super) async fn a_piece_may_be_written_again_until_a_message_owns_the_body(mut h: Harness) {
    let body = h.put_body(&[b"aaaa", b"bb"]).await;
    h.store().put_chunk(body.id, 1, Bytes::from_static(b"BBBB")).await.unwrap();
    h.store().put_chunk(body.id, 2, Bytes::from_static(b"cc")).await.unwrap();
    h.store().put_chunk(body.id, 2, Bytes::from_static(b"cc")).await.unwrap();
    assert_eq!(h.body(body, 3).await.unwrap(), b"aaaaBBBBcc");
    let body = BodyRef { length: 10, ..body };
    let message = h.message_of(body);
    let instance = h.ready(&message, "A");
    h.commit(vec![publish(message, vec![instance])]).await;
    h.step().await;
    for sequence in [0, 2, 3] {
        let refused = h.store().put_chunk(body.id, sequence, Bytes::from_static(b"x")).await;
        assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Invalid, "piece {sequence}");
    }
    h.step().await;
    assert_eq!(h.body(body, 100).await.unwrap(), b"aaaaBBBBcc");
}

pub(super) async fn pieces_come_in_order(mut h: Harness) {
    let id = BodyId(h.id());
    let put = async |sequence| h.store().put_chunk(id, sequence, Bytes::from_static(b"x")).await.map_err(|error| error.kind);
    assert_eq!(put(1).await, Err(StoreErrorKind::Invalid));
    assert_eq!(h.body(BodyRef { id, length: 0 }, 1).await, GONE, "a refused piece does not make a body");
    assert_eq!(put(0).await, Ok(()));
    assert_eq!(put(2).await, Err(StoreErrorKind::Invalid));
    assert_eq!(put(u32::MAX).await, Err(StoreErrorKind::Invalid));
    assert_eq!(put(1).await, Ok(()));
    assert_eq!(h.body(BodyRef { id, length: 2 }, 9).await.unwrap(), b"xx");
}

pub(super) async fn a_message_cannot_own_a_body_that_is_not_whole(mut h: Harness) {
    let body = h.put_body(&[b"12345"]).await;
    let missing = BodyRef { id: BodyId(h.id()), length: 0 };
    for wrong in [BodyRef { length: 4, ..body }, BodyRef { length: 6, ..body }, missing] {
        let message = h.message_of(wrong);
        let id = message.id;
        let instance = h.ready(&message, "A");
        assert_eq!(h.refused(vec![publish(message, vec![instance])]).await, StoreErrorKind::Invalid, "{wrong:?}");
        assert!(!h.has_message(id).await);
    }
    assert_eq!(h.body(body, 9).await.unwrap(), b"12345");
}

pub(super) async fn a_body_without_a_message_goes_when_the_store_is_opened(mut h: Harness) {
    let (owned, orphan) = (h.put_body(&[b"owned"]).await, h.put_body(&[b"orphan", b"s"]).await);
    let message = h.message_of(owned);
    let instance = h.ready(&message, "A");
    h.commit(vec![publish(message, vec![instance])]).await;
    assert_eq!(h.body(orphan, 9).await.unwrap(), b"orphans", "until then it is there");
    h.reopen().await;
    assert_eq!(h.body(orphan, 9).await, GONE);
    assert_eq!(h.body(owned, 9).await.unwrap(), b"owned");

    let message = h.message_of(orphan);
    let instance = h.ready(&message, "A");
    assert_eq!(h.refused(vec![publish(message, vec![instance])]).await, StoreErrorKind::Invalid);
    h.store().put_chunk(orphan.id, 0, Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(h.body(orphan, 9).await.unwrap(), b"new", "nothing of the old one is left");
}

pub(super) async fn a_discarded_body_is_gone_unless_a_message_owns_it(mut h: Harness) {
    let (owned, loose) = (h.put_body(&[b"owned"]).await, h.put_body(&[b"lo", b"ose"]).await);
    let message = h.message_of(owned);
    let instance = h.ready(&message, "A");
    let done = instance.id;
    h.commit(vec![publish(message, vec![instance])]).await;
    let discard = |body: BodyRef| Operation::DiscardBody(body.id);
    let never = BodyRef { id: BodyId(h.id()), length: 1 };
    assert_eq!(h.commit(vec![discard(owned), discard(loose), discard(loose), discard(never)]).await, [0, 1, 0, 0]);
    assert_eq!(h.body(loose, 9).await, GONE);
    h.step().await;
    assert_eq!(h.body(owned, 9).await.unwrap(), b"owned");
    h.commit(vec![complete(done)]).await;
    assert_eq!(h.commit(vec![discard(owned)]).await, [0], "it went with its message");
}

pub(super) async fn a_replaced_message_hands_its_body_on(mut h: Harness) {
    let body = h.put_body(&[b"kept ", b"through ", b"a resume"]).await;
    let mut message = h.message_of(body);
    let mut last = h.ready(&message, "A").suspended(true, Default::default(), failure("PTL0102", "no subscriber"));
    h.commit(vec![publish(message, vec![last.clone()])]).await;
    for publish_first in [false, true] {
        h.step().await;
        message = h.message_of(body);
        let next = h.ready(&message, "A").suspended(true, Default::default(), failure("PTL0102", "no subscriber"));
        let publication = publish(message, vec![next.clone()]);
        let mut operations = vec![require(last.id, true), complete(last.id)];
        operations.insert(if publish_first { 1 } else { 2 }, publication);
        h.commit(operations).await;
        assert_eq!(h.body(body, 99).await.unwrap(), b"kept through a resume");
        last = next;
    }
    h.step().await;
    // Two messages own it for a while.
    message = h.message_of(body);
    let second = h.ready(&message, "B");
    h.commit(vec![publish(message, vec![second.clone()])]).await;
    h.step().await;
    h.commit(vec![complete(last.id)]).await;
    h.step().await;
    assert_eq!(h.body(body, 99).await.unwrap(), b"kept through a resume");
    h.commit(vec![complete(second.id)]).await;
    assert_eq!(h.body(body, 99).await, GONE);
}

pub(super) async fn terminating_removes_messages_and_bodies(mut h: Harness) {
    let mut bodies = Vec::new();
    let mut messages = Vec::new();
    for at in 0..6_u8 {
        let body = h.put_body(&[&[at; 1000], &[at; 10]]).await;
        let message = h.message_of(body);
        messages.push(message.id);
        bodies.push(body);
        let instance = h.ready(&message, if at % 2 == 0 { "A" } else { "B" });
        let id = instance.id;
        h.commit(vec![publish_claimed(message, vec![instance])]).await;
        h.commit(vec![suspend(id, at % 3 == 0, failure("PTL0203", "away"))]).await;
    }
    h.step().await;
    let selection = Selection { service: Some("A".into()), ..Selection::default() };
    assert_eq!(h.commit(vec![act(selection, Action::Terminate)]).await, [3]);
    h.step().await;
    for (at, body) in bodies.into_iter().enumerate() {
        assert_eq!(h.has_message(messages[at]).await, at % 2 == 1);
        assert_eq!(h.body(body, 999).await.is_ok(), at % 2 == 1);
    }
}

/// Not run in every mode: 32 MiB.
pub(super) async fn a_body_of_many_pieces_reads_back(mut h: Harness) {
    const PIECE: usize = 256 * 1024;
    let id = BodyId(h.id());
    let piece =
        |sequence: u32| Bytes::from((0..PIECE).map(|at| (at as u32).wrapping_mul(31).wrapping_add(sequence) as u8).collect::<Vec<_>>());
    for sequence in 0..128 {
        h.store().put_chunk(id, sequence, piece(sequence)).await.unwrap();
    }
    let body = BodyRef { id, length: 128 * PIECE as u64 };
    let message = h.message_of(body);
    let instance = h.ready(&message, "A");
    let done = instance.id;
    let remember = Operation::RememberKey { scope: SCOPE.into(), key: "large.xml".into(), at: NOW };
    h.commit(vec![remember, publish(message, vec![instance])]).await;
    h.reopen().await;
    let mut offset = 0;
    for sequence in 0..128 {
        let expected = piece(sequence);
        let mut read = Vec::new();
        while read.len() < PIECE {
            let some = h.store().read_body(body, offset, PIECE - read.len()).await.unwrap();
            assert!(!some.is_empty(), "ends at {offset}");
            offset += some.len() as u64;
            read.extend_from_slice(&some);
        }
        assert_eq!(read, expected, "piece {sequence}");
    }
    assert_eq!(h.store().read_body(body, offset, 1).await.unwrap(), "");
    h.commit(vec![complete(done)]).await;
    assert_eq!(h.store().read_body(body, 0, 1).await.unwrap_err().kind, StoreErrorKind::NotFound);
}
