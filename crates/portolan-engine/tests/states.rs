//! The state machines, every state with every event, against the tables of the manual.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
use portolan_engine::states::{
    Command::{self, Enlist, Start, Stop, Unenlist},
    Illegal, Transition,
    receive_location::{self, Adapter, Already, Event, State as Location},
    send_port, send_port_group,
};
use portolan_model::{
    Timestamp,
    artifact::PortState::{self, Started, Stopped, Unenlisted},
    schedule::{Schedule, ServiceWindow},
};

const COMMANDS: [Command; 4] = [Enlist, Start, Stop, Unenlist];

fn ok(to: PortState) -> Result<Transition, Illegal> {
    Ok(Transition { to, implied: None })
}

fn implied(to: PortState, command: Command) -> Result<Transition, Illegal> {
    Ok(Transition { to, implied: Some(command) })
}

#[test]
fn a_send_port_follows_the_manuals_table() {
    let table = [
        (Unenlisted, [ok(Stopped), implied(Started, Enlist), Err(Illegal::NotFrom(Unenlisted, Stop)), Err(Illegal::Already(Unenlisted))]),
        (Stopped, [Err(Illegal::Already(Stopped)), ok(Started), Err(Illegal::Already(Stopped)), ok(Unenlisted)]),
        (Started, [Err(Illegal::NotFrom(Started, Enlist)), Err(Illegal::Already(Started)), ok(Stopped), implied(Unenlisted, Stop)]),
    ];
    for (state, row) in table {
        for (command, want) in COMMANDS.into_iter().zip(row) {
            let port = send_port::State { state, last_enlisted_of: vec![] };
            assert_eq!(send_port::step(&port, command), want, "port {state:?} {command:?}");
            let group = send_port_group::State { state, enlisted_members: 1 };
            assert_eq!(send_port_group::step(&group, command), want, "group {state:?} {command:?}");
        }
    }
}

#[test]
fn the_last_enlisted_port_of_an_enlisted_group_stays_enlisted() {
    for state in [Stopped, Started] {
        let port = send_port::State { state, last_enlisted_of: vec!["Partners".into()] };
        let illegal = send_port::step(&port, Unenlist).unwrap_err();
        assert!(illegal.to_string().contains("\"Partners\"") && illegal.to_string().contains("unenlist the group first"), "{illegal}");
        assert!(
            COMMANDS.iter().filter(|c| **c != Unenlist).all(|c| !matches!(send_port::step(&port, *c), Err(Illegal::LastEnlistedOf(_))))
        );
    }
}

#[test]
fn a_group_needs_an_enlisted_member_to_start_but_not_to_enlist() {
    for state in [Unenlisted, Stopped] {
        assert_eq!(send_port_group::step(&send_port_group::State { state, enlisted_members: 0 }, Start), Err(Illegal::NoEnlistedMember));
    }
    assert_eq!(send_port_group::step(&send_port_group::State { state: Unenlisted, enlisted_members: 0 }, Enlist), ok(Stopped));
}

#[test]
fn a_receive_location_receives_when_it_is_enabled_and_open() {
    use Adapter::{Keep, Start as Run, Stop as Halt};
    use Location::{Disabled, Receiving, Waiting};
    let events = [Event::Enable { open: true }, Event::Enable { open: false }, Event::Disable, Event::Opens, Event::Closes];
    let table = [
        (Disabled, [Ok((Receiving, Run)), Ok((Waiting, Keep)), Err(Already), Ok((Disabled, Keep)), Ok((Disabled, Keep))]),
        (Waiting, [Err(Already), Err(Already), Ok((Disabled, Keep)), Ok((Receiving, Run)), Ok((Waiting, Keep))]),
        (Receiving, [Err(Already), Err(Already), Ok((Disabled, Halt)), Ok((Receiving, Keep)), Ok((Waiting, Halt))]),
    ];
    for (state, row) in table {
        for (event, want) in events.into_iter().zip(row) {
            assert_eq!(receive_location::step(state, event).map(|t| (t.to, t.adapter)), want, "{state:?} {event:?}");
        }
    }
}

#[test]
fn a_host_starts_a_location_in_the_state_its_schedule_gives() {
    let hour = |hour| jiff::civil::time(hour, 0, 0, 0);
    let window = Schedule { window: Some(ServiceWindow { from: hour(8), to: jiff::civil::time(9, 59, 59, 0) }), ..Schedule::default() };
    let at = |hours: i64| Timestamp(hours * 36_000_000_000);
    assert_eq!(receive_location::at(true, &window, at(7)), (Location::Waiting, Some((at(8), Event::Opens))));
    assert_eq!(receive_location::at(true, &window, at(8)), (Location::Receiving, Some((at(10), Event::Closes))));
    assert_eq!(receive_location::at(false, &window, at(8)), (Location::Disabled, None));
    assert_eq!(receive_location::at(true, &Schedule::default(), at(8)), (Location::Receiving, None));
}
