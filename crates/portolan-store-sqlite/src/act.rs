//! An operator's action on any number of instances: a few statements over rows, and a walk over the
//! headers of the groups that may hold matching packed instances. Claimed instances are passed over.

use crate::{
    effects::Effect,
    error::Stop,
    hot,
    rows::LoadError,
    select::{self, Condition},
    state::{Held, Hold, Spot, Status},
    txn::Txn,
};
use portolan_model::{
    InstanceId, Timestamp,
    instance::{Instance, InstanceState, ServiceClass},
};
use portolan_store::{Action, Selection};
use rusqlite::{params_from_iter, types::Value};
use std::collections::{BTreeMap, BTreeSet};

/// Tables of the writer's connection that hold what an action is about; in memory, empty in between.
pub(crate) const TEMPORARY: &str = "
CREATE TEMP TABLE IF NOT EXISTS victim(id BLOB PRIMARY KEY, n INTEGER, message INTEGER) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS orphan(n INTEGER PRIMARY KEY);
";

impl Txn<'_> {
    /// Carries out an action; how many instances it changed. The transaction has no other batch.
    pub(crate) fn act(&mut self, selection: &Selection, action: Action, at: Timestamp) -> Result<u64, Stop> {
        let (rows, reports, claimed) = {
            let mut state = self.state();
            state.frozen = true;
            let claimed = state.held.iter().filter(|(_, held)| matches!(held.hold, Hold::Claimed | Hold::Gone)).map(|(id, _)| *id);
            let claimed = select::id_list(claimed);
            let mut unclaimed = select::condition(selection, &state.services);
            unclaimed.and("i.id NOT IN (SELECT unhex(value) FROM json_each(?))", [claimed.clone()]);
            let reports = state.services.iter().filter(|(_, service)| service.class == ServiceClass::RoutingFailureReport);
            (unclaimed, reports.map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(","), claimed)
        };
        let packed = if action == Action::Resume { Vec::new() } else { self.act_on_packed(selection, action)? };
        let changed = match action {
            Action::Resume => {
                let resumed =
                    self.update("state = 0, due = ?, transport = 0, attempts = 0", [Value::Integer(at.0)], "i.state = 2", rows)?;
                self.wake |= resumed > 0;
                resumed
            }
            Action::Suspend => self.update("state = 2", [], "i.state IN (0, 1)", rows)?,
            Action::Terminate => self.terminate(rows, &packed, &reports, claimed)?,
        };
        self.effects.push(Effect::Everything);
        Ok(changed + packed.len() as u64)
    }

    fn update<const N: usize>(&self, set: &str, values: [Value; N], state: &str, mut rows: Condition) -> Result<u64, Stop> {
        rows.and(state, []);
        let sql = format!("UPDATE instance AS i SET {set} WHERE {}", rows.sql());
        Ok(self.connection.execute(&sql, params_from_iter(values.into_iter().chain(rows.values)))? as u64)
    }

    fn terminate(&mut self, rows: Condition, packed: &[InstanceId], reports: &str, claimed: Value) -> Result<u64, Stop> {
        let connection = self.connection;
        connection.execute_batch("DELETE FROM temp.victim; DELETE FROM temp.orphan;")?;
        let chosen = connection.execute(
            &format!("INSERT INTO temp.victim SELECT i.id, i.n, i.message FROM instance i WHERE {}", rows.sql()),
            params_from_iter(rows.values),
        )?;
        let mut also = connection.prepare_cached("INSERT OR IGNORE INTO temp.victim(id) VALUES (?1)")?;
        for id in packed {
            also.execute([&id.0.as_bytes()[..]])?;
        }
        connection.execute(
            &format!(
                "INSERT OR IGNORE INTO temp.victim SELECT i.id, i.n, i.message FROM instance i \
                 WHERE i.about IN (SELECT id FROM temp.victim) AND i.service IN ({reports}) \
                 AND i.id NOT IN (SELECT unhex(value) FROM json_each(?))"
            ),
            [claimed],
        )?;
        connection.execute_batch(
            "DELETE FROM instance WHERE n IN (SELECT n FROM temp.victim);
             INSERT INTO temp.orphan SELECT DISTINCT v.message FROM temp.victim v WHERE v.message IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.message = v.message);",
        )?;
        let mut bodies = connection.prepare_cached("SELECT body FROM body_owner WHERE message IN (SELECT n FROM temp.orphan)")?;
        for body in bodies.query_map([], |row| row.get(0))? {
            self.released.push(body?);
        }
        connection.execute_batch(
            "DELETE FROM body_owner WHERE message IN (SELECT n FROM temp.orphan);
             DELETE FROM message WHERE n IN (SELECT n FROM temp.orphan);
             DELETE FROM temp.victim; DELETE FROM temp.orphan;",
        )?;
        Ok(chosen as u64)
    }

    /// Terminates or suspends packed instances; which.
    fn act_on_packed(&mut self, selection: &Selection, action: Action) -> Result<Vec<InstanceId>, Stop> {
        let mut chosen = Vec::new();
        if !select::may_be_packed(selection) {
            return Ok(chosen);
        }
        let ids: BTreeSet<InstanceId> = selection.ids.iter().copied().collect();
        let rest = Selection { ids: Vec::new(), ..selection.clone() };
        for (group, sequences) in self.packed_candidates(selection) {
            let header = match hot::header(self.connection, group) {
                Ok(header) => header,
                Err(LoadError::Database(error)) => return Err(Stop::Database(error)),
                // Damage is dealt with when the group is claimed.
                Err(LoadError::Corrupt(_)) => continue,
            };
            for sequence in sequences {
                let Some(head) = hot::head(&header, sequence) else { continue };
                let meant = (ids.is_empty() || ids.contains(&head.id)) && select::packed_matches(&rest, &header, head);
                if !meant || !self.take_packed(head.id, sequence, head.due.0) {
                    continue;
                }
                if action == Action::Terminate {
                    self.effects.push(Effect::HotFinished { id: head.id, sequence });
                } else {
                    let work = hot::load(self.connection, self.memory, sequence)?;
                    let suspended = Instance { state: InstanceState::SuspendedResumable, ..work.instance };
                    self.move_to_row(suspended, &work.message, sequence)?;
                }
                chosen.push(head.id);
            }
        }
        Ok(chosen)
    }

    /// Packed instances that wait (or were given back by this batch), by group.
    fn packed_candidates(&self, selection: &Selection) -> BTreeMap<u64, Vec<u64>> {
        let state = self.state();
        let allowed: BTreeSet<u32> = select::service_numbers(selection, &state.services).collect();
        let all = if selection.ids.is_empty() { state.entries.iter().collect() } else { state.hot_candidates(&selection.ids) };
        let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (sequence, entry) in all {
            if matches!(entry.status(), Status::Queued | Status::Taken) && allowed.contains(&entry.service()) {
                groups.entry(entry.group).or_default().push(sequence);
            }
        }
        groups
    }

    /// Takes a packed instance unless somebody has claimed it.
    fn take_packed(&mut self, id: InstanceId, sequence: u64, due: i64) -> bool {
        let mut state = self.state();
        if let Some(held) = state.held.get_mut(&id) {
            let freed = held.hold == Hold::Freed && matches!(held.spot, Spot::Hot { sequence: s, .. } if s == sequence);
            if freed {
                held.hold = Hold::Busy;
            }
            return freed;
        }
        if !state.take_hot(sequence, due) {
            return false;
        }
        let spot = Spot::Hot { sequence, due };
        state.held.insert(id, Held { spot, hold: Hold::Busy, work: None });
        self.effects.push(Effect::Took { id, spot });
        true
    }
}
