//! Questions. Each is answered from one snapshot of the database and the memory that belongs to it,
//! told by the number of the last transaction; neither the writer nor a claim waits for it.

use crate::{
    Core, hot,
    pack::Header,
    rows::{self, LoadError},
    select::{self, id_list},
    state::{Group, Hold, State},
};
use portolan_model::{InstanceId, Message, MessageId, Timestamp, instance::Instance};
use portolan_store::{Answer, EVENTS_KEPT, Event, EventRecord, Health, Position, Query, Selection, ServiceCount, Severity, StoreError};
use rusqlite::{Connection, Row as SqlRow, params, params_from_iter, types::Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Groups whose marks are taken from memory at once.
const CHUNK: usize = 64;

/// Answers a question. Blocks.
pub(crate) fn answer(core: &Core, query: Query) -> Result<Answer, StoreError> {
    if core.lock().health == Health::Closed {
        return Err(crate::error::closed());
    }
    let reader = core.readers.get()?;
    let asked = Asked { core, connection: &reader };
    let done = match query {
        Query::Instances { selection, after, limit } => asked.page(&selection, after, limit).map(Answer::Instances),
        Query::Count(selection) => asked.count(&selection).map(Answer::Count),
        Query::Message(id) => return asked.message(id).map(Answer::Message),
        Query::Events { before, after, limit } => asked.events(before, after, limit).map(Answer::Events),
        Query::States { prefix } => asked.states(&prefix).map(Answer::States),
        Query::Keys { scope } => asked.keys(&scope).map(Answer::Keys),
        Query::Services => asked.services().map(Answer::Services),
        Query::Epoch => Ok(Answer::Epoch(core.lock().epoch)),
    };
    done.map_err(|error| core.readers.told(&error))
}

struct Asked<'a> {
    core: &'a Core,
    connection: &'a Connection,
}

/// Ends a snapshot however the answer ends.
struct Snapshot<'a>(&'a Connection);

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

/// A group with the marks of its live instances.
struct Live {
    number: u64,
    group: Group,
    done: Vec<u8>,
}

impl Live {
    fn is_live(&self, offset: u32) -> bool {
        self.done.get((offset / 8) as usize).is_some_and(|byte| byte >> (offset % 8) & 1 == 0)
    }
}

/// Packed groups to look through, newest first.
struct Groups {
    rest: std::vec::IntoIter<(u64, Group)>,
    chunk: std::vec::IntoIter<Live>,
}

impl Groups {
    fn of(state: &State, selection: &Selection) -> Self {
        let mut groups: Vec<(u64, Group)> = if !select::may_be_packed(selection) {
            Vec::new()
        } else if selection.ids.is_empty() {
            state.groups.iter().collect()
        } else {
            let numbers: BTreeSet<u64> = state.hot_candidates(&selection.ids).into_iter().map(|(_, entry)| entry.group).collect();
            numbers.into_iter().filter_map(|number| Some((number, state.groups.get(number)?))).collect()
        };
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.newest));
        let mut all = Self { rest: groups.into_iter(), chunk: Vec::new().into_iter() };
        all.next_chunk(state);
        all
    }

    fn next_chunk(&mut self, state: &State) {
        let live = |(number, group)| Live { number, group, done: state.done_bits(number, &[]) };
        self.chunk = self.rest.by_ref().take(CHUNK).map(live).collect::<Vec<_>>().into_iter();
    }

    fn next(&mut self, core: &Core) -> Option<Live> {
        if self.chunk.len() == 0 && self.rest.len() > 0 {
            self.next_chunk(&core.lock());
        }
        self.chunk.next()
    }
}

impl<'a> Asked<'a> {
    /// Starts a snapshot, and looks at the memory that belongs to it.
    fn snapshot<T>(&self, look: impl Fn(&State) -> T) -> rusqlite::Result<(Snapshot<'a>, T)> {
        let mut attempts = 0;
        loop {
            self.connection.execute_batch("BEGIN")?;
            let snapshot = Snapshot(self.connection);
            let lsn = self.connection.prepare_cached("SELECT lsn FROM mark")?.query_row([], |row| row.get::<_, i64>(0))?;
            let state = self.core.lock();
            // Under a storm of commits the two may never meet: then nearly the same moment must do.
            if state.lsn == lsn.cast_unsigned() || attempts > 200 {
                return Ok((snapshot, look(&state)));
            }
            drop(state);
            attempts += 1;
            drop(snapshot);
            if attempts > 3 {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn page(&self, selection: &Selection, after: Option<Position>, limit: usize) -> rusqlite::Result<Vec<Instance>> {
        let (_snapshot, (condition, gone, groups)) =
            self.snapshot(|state| (select::condition(selection, &state.services), gone(state), Groups::of(state, selection)))?;
        let mut condition = condition;
        if !gone.is_empty() {
            condition.and("i.id NOT IN (SELECT unhex(value) FROM json_each(?))", [id_list(gone.iter().copied())]);
        }
        if let Some(after) = after {
            let place = [Value::Integer(after.created.0), Value::Blob(after.id.0.as_bytes().to_vec())];
            condition.and("(i.created, i.id) < (?, ?)", place);
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY i.created DESC, i.id DESC LIMIT {}",
            rows::COLUMNS,
            rows::TABLES,
            condition.sql(),
            i64::try_from(limit).unwrap_or(i64::MAX)
        );
        let mut statement = self.connection.prepare(&sql)?;
        let read = statement.query_map(params_from_iter(condition.values), rows::read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut page: BTreeMap<Position, Instance> = BTreeMap::new();
        {
            let state = self.core.lock();
            for row in read {
                let instance = Instance { service: state.services.get(row.service), ..row.instance };
                page.insert(Position::from(&instance), instance);
            }
        }
        self.packed_page(selection, after, limit, groups, &mut page)?;
        Ok(page.into_values().rev().take(limit).collect())
    }

    fn packed_page(
        &self,
        selection: &Selection,
        after: Option<Position>,
        limit: usize,
        mut groups: Groups,
        page: &mut BTreeMap<Position, Instance>,
    ) -> rusqlite::Result<()> {
        while let Some(live) = groups.next(self.core) {
            let full = page.len() >= limit;
            if full && page.first_key_value().is_none_or(|(oldest, _)| oldest.created > Timestamp(live.group.newest)) {
                return Ok(());
            }
            self.visit(selection, &live, |header, head| {
                let place = Position { created: head.created, id: head.id };
                if after.is_none_or(|after| place < after) {
                    let service = self.core.lock().services.get(head.service);
                    page.insert(place, header.instance(head, service));
                    if page.len() > limit {
                        page.pop_first();
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Every live instance of a group that is meant.
    fn visit(&self, selection: &Selection, live: &Live, mut each: impl FnMut(&Header, &crate::pack::HeadInstance)) -> rusqlite::Result<()> {
        let header = match hot::header(self.connection, live.number) {
            Ok(header) => header,
            Err(LoadError::Database(error)) => return Err(error),
            // Damage is dealt with when the group is claimed; a group that went meanwhile has nothing live.
            Err(LoadError::Corrupt(_)) => return Ok(()),
        };
        let allowed: BTreeSet<u32> = select::service_numbers(selection, &self.core.lock().services).collect();
        let ids: BTreeSet<InstanceId> = selection.ids.iter().copied().collect();
        for head in &header.instances {
            if live.is_live(head.offset)
                && allowed.contains(&head.service)
                && (ids.is_empty() || ids.contains(&head.id))
                && select::packed_matches(selection, &header, head)
            {
                each(&header, head);
            }
        }
        Ok(())
    }

    fn count(&self, selection: &Selection) -> rusqlite::Result<u64> {
        let by_service = select::may_be_packed(selection) && select::by_service_only(selection);
        let (_snapshot, (mut condition, gone, packed, mut groups)) = self.snapshot(|state| {
            let counted =
                by_service.then(|| select::service_numbers(selection, &state.services).map(|service| state.hot_live(service)).sum::<u64>());
            let groups = if by_service {
                Groups { rest: Vec::new().into_iter(), chunk: Vec::new().into_iter() }
            } else {
                Groups::of(state, selection)
            };
            (select::condition(selection, &state.services), gone(state), counted, groups)
        })?;
        if !gone.is_empty() {
            condition.and("i.id NOT IN (SELECT unhex(value) FROM json_each(?))", [id_list(gone.into_iter())]);
        }
        let sql = format!("SELECT count(*) FROM instance i WHERE {}", condition.sql());
        let rows: i64 = self.connection.prepare(&sql)?.query_row(params_from_iter(condition.values), |row| row.get(0))?;
        let mut count = rows.cast_unsigned() + packed.unwrap_or_default();
        while let Some(live) = groups.next(self.core) {
            self.visit(selection, &live, |_, _| count += 1)?;
        }
        Ok(count)
    }

    fn services(&self) -> rusqlite::Result<Vec<ServiceCount>> {
        let (_snapshot, (services, gone)) = self.snapshot(|state| {
            let services: Vec<_> = state.services.iter().map(|(number, service)| (service.clone(), state.hot_live(number))).collect();
            (services, gone(state))
        })?;
        let mut counts: Vec<[u64; 4]> = services.iter().map(|(_, ready)| [*ready, 0, 0, 0]).collect();
        let mut add = |service: u32, state: u8, change: i64| {
            if let Some(count) = counts.get_mut(service as usize).and_then(|counts| counts.get_mut(usize::from(state))) {
                *count = count.saturating_add_signed(change);
            }
        };
        let mut all = self.connection.prepare_cached("SELECT service, state, count(*) FROM instance GROUP BY service, state")?;
        for row in all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
            let (service, state, count) = row?;
            add(service, state, count);
        }
        let mut lazily =
            self.connection.prepare_cached("SELECT service, state FROM instance WHERE id IN (SELECT unhex(value) FROM json_each(?))")?;
        for row in lazily.query_map([id_list(gone.into_iter())], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (service, state) = row?;
            add(service, state, -1);
        }
        let mut answer: Vec<ServiceCount> = services
            .into_iter()
            .zip(counts)
            .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
            .map(|((service, _), [ready, scheduled, suspended_resumable, suspended_not_resumable])| ServiceCount {
                service,
                ready,
                scheduled,
                suspended_resumable,
                suspended_not_resumable,
            })
            .collect();
        answer.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(answer)
    }

    fn message(&self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        let failed = |error: rusqlite::Error| self.core.readers.told(&error);
        let (_snapshot, (cached, gone)) = self.snapshot(|state| (state.cached_message(id), gone(state))).map_err(failed)?;
        if cached.is_some() {
            return Ok(cached);
        }
        let mut carried = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM message m JOIN instance i ON i.message = m.n WHERE m.id = ?1 \
                 AND i.id NOT IN (SELECT unhex(value) FROM json_each(?2)) LIMIT 1",
            )
            .map_err(failed)?;
        if carried.exists(params![&id.0.as_bytes()[..], id_list(gone.into_iter())]).map_err(failed)? {
            return rows::find_message(self.connection, id).map_err(failed)?.transpose().map(|found| found.map(Arc::new));
        }
        self.packed_message(id)
    }

    /// Looks for a message in the headers of all groups.
    fn packed_message(&self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        let failed = |error: rusqlite::Error| self.core.readers.told(&error);
        let mut all = self.connection.prepare_cached("SELECT header FROM spool ORDER BY g DESC").map_err(failed)?;
        let mut rows = all.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let bytes = row.get_ref(0).and_then(|value| value.as_blob().map_err(Into::into)).map_err(failed)?;
            let Ok(header) = Header::decode(bytes) else { continue };
            let Some(at) = header.messages().position(|message| message == id) else { continue };
            let live = {
                let state = self.core.lock();
                let mut carriers = header.instances.iter().filter(|head| head.message as usize == at);
                carriers.find_map(|head| {
                    let sequence = header.first + u64::from(head.offset);
                    state.entries.get(sequence).filter(|entry| entry.is_live()).map(|_| sequence)
                })
            };
            let Some(sequence) = live else { continue };
            return match hot::load(self.connection, &self.core.memory, sequence) {
                Ok(work) => Ok(Some(work.message)),
                Err(crate::error::Stop::Batch(error)) => Err(error),
                Err(crate::error::Stop::Database(error)) => Err(failed(error)),
                Err(crate::error::Stop::Barrier) => Ok(None),
            };
        }
        Ok(None)
    }

    fn events(&self, before: Option<u64>, after: Option<u64>, limit: usize) -> rusqlite::Result<Vec<EventRecord>> {
        let clamp = |number: Option<u64>, default: i64| number.map_or(default, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut find = self.connection.prepare_cached(
            "SELECT sequence, at, severity, code, source, text, message, instance FROM event \
             WHERE sequence < ?1 AND sequence > ?2 AND sequence > (SELECT max(sequence) FROM event) - ?3 \
             ORDER BY sequence DESC LIMIT ?4",
        )?;
        let kept = i64::try_from(EVENTS_KEPT).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        find.query_map(params![clamp(before, i64::MAX), clamp(after, 0), kept, limit], read_event)?.collect()
    }

    fn states(&self, prefix: &str) -> rusqlite::Result<Vec<(String, String)>> {
        let mut find = self.connection.prepare_cached("SELECT key, value FROM state WHERE key >= ?1 ORDER BY key")?;
        let mut rows = find.query([prefix])?;
        let mut states = Vec::new();
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if !key.starts_with(prefix) {
                break;
            }
            states.push((key, row.get(1)?));
        }
        Ok(states)
    }

    fn keys(&self, scope: &str) -> rusqlite::Result<Vec<String>> {
        let mut find = self.connection.prepare_cached("SELECT key FROM receive_key WHERE scope = ?1 ORDER BY key")?;
        find.query_map([scope], |row| row.get(0))?.collect()
    }
}

/// Rows that were completed lazily and are still in the database.
fn gone(state: &State) -> Vec<InstanceId> {
    state.held.iter().filter(|(_, held)| held.hold == Hold::Gone).map(|(id, _)| *id).collect()
}

fn read_event(row: &SqlRow<'_>) -> rusqlite::Result<EventRecord> {
    let severity = match row.get::<_, i64>(2)? {
        0 => Severity::Information,
        1 => Severity::Warning,
        _ => Severity::Error,
    };
    let id = |at: usize| row.get::<_, Option<[u8; 16]>>(at).map(|bytes| bytes.map(uuid::Uuid::from_bytes));
    Ok(EventRecord {
        sequence: row.get::<_, i64>(0)?.cast_unsigned(),
        event: Event {
            at: Timestamp(row.get(1)?),
            severity,
            code: row.get::<_, String>(3)?.into(),
            source: row.get::<_, String>(4)?.into(),
            text: row.get(5)?,
            message: id(6)?.map(MessageId),
            instance: id(7)?.map(InstanceId),
        },
    })
}
