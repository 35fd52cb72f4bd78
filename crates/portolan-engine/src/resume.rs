//! Where a resumed instance starts again, and what its message looks like there (manual pages "Error
//! Handling", "Using Failed Message Routing"; decision 0006 for stopped ports).
//!
//! The form the message is kept in decides; the port's *current* configuration is used. The manual
//! contradicts itself for a document of a recoverable interchange that found no subscriber ("before
//! pipeline" in one table, "skips pipeline processing" in a text): a document kept after the pipeline
//! cannot go through it again, so it is published directly.

use portolan_model::{
    Context,
    instance::{Instance, InstanceState, MessageForm, ServiceClass},
};
use std::fmt;

/// Where a resumed instance starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumePoint {
    /// The receive pipeline of the port takes in the wire form again, from its first stage.
    ReceivePipeline,
    /// The message is published as it is, past pipeline and map.
    Publish,
    /// The send port's map, pipeline and transport, from the primary transport's first attempt.
    Send,
}

/// The resume point of a message kept in `form`.
#[must_use]
pub fn resume_point(form: MessageForm) -> ResumePoint {
    match form {
        MessageForm::Wire => ResumePoint::ReceivePipeline,
        MessageForm::PostPipeline => ResumePoint::Publish,
        MessageForm::Published => ResumePoint::Send,
    }
}

/// Why an instance cannot be resumed. Shown with code
/// [`NOT_ALLOWED`](portolan_model::code::NOT_ALLOWED).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotResumable {
    /// It is not suspended.
    NotSuspended,
    /// It was suspended for good; its message can be saved, and the instance terminated.
    SuspendedForGood,
    /// It is a routing failure report: it only tells about another instance.
    Report,
}

impl fmt::Display for NotResumable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSuspended => "the instance is not suspended",
            Self::SuspendedForGood => "the instance is suspended (not resumable): save its message if you need it, then terminate it",
            Self::Report => {
                "a routing failure report cannot be resumed: resume the suspended message it tells about; the report goes with it"
            }
        })
    }
}

impl std::error::Error for NotResumable {}

/// Whether and where an operator's resume starts an instance again. The state of its port does not
/// matter: a resumed instance is sent even if the port is stopped (manual page "Service Instance
/// States").
///
/// # Errors
/// Why it cannot be resumed.
pub fn resume(instance: &Instance) -> Result<ResumePoint, NotResumable> {
    match (instance.service.class, instance.state) {
        (ServiceClass::RoutingFailureReport, _) => Err(NotResumable::Report),
        (_, InstanceState::SuspendedResumable) => Ok(resume_point(instance.form)),
        (_, InstanceState::SuspendedNotResumable) => Err(NotResumable::SuspendedForGood),
        (_, InstanceState::Ready | InstanceState::Scheduled) => Err(NotResumable::NotSuspended),
    }
}

/// The context as the subscriber gets it: every property keeps its value and loses its promotion, so
/// that publishing the message again cannot match the same subscription for ever (manual page
/// "IBaseMessage Interface"). Components and maps promote anew what is to be routed by.
#[must_use]
pub fn handed_over(context: &Context) -> Context {
    let mut context = context.clone();
    context.demote_all();
    context
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_model::{InstanceId, Kind, MessageId, Timestamp, Value, instance::Service, system::bts};

    fn instance(service: Service, state: InstanceState, form: MessageForm) -> Instance {
        let (id, message) = (InstanceId(uuid::Uuid::nil()), MessageId(uuid::Uuid::nil()));
        Instance { state, form, ..Instance::ready(id, service, message, Timestamp(0), 5) }
    }

    #[test]
    fn the_kept_form_decides_where_a_resume_starts() {
        let resumed = |form| resume(&instance(Service::receive_port("In"), InstanceState::SuspendedResumable, form));
        assert_eq!(resumed(MessageForm::Wire), Ok(ResumePoint::ReceivePipeline));
        assert_eq!(resumed(MessageForm::PostPipeline), Ok(ResumePoint::Publish));
        assert_eq!(resumed(MessageForm::Published), Ok(ResumePoint::Send));
    }

    #[test]
    fn only_resumable_instances_resume_and_a_refusal_says_what_to_do() {
        let resumed = |state| resume(&instance(Service::send_port("Out"), state, MessageForm::Published));
        assert_eq!(resumed(InstanceState::Ready), Err(NotResumable::NotSuspended));
        assert_eq!(resumed(InstanceState::Scheduled), Err(NotResumable::NotSuspended));
        assert!(resumed(InstanceState::SuspendedNotResumable).unwrap_err().to_string().contains("terminate"));
        let report = instance(Service::report(), InstanceState::SuspendedNotResumable, MessageForm::Published);
        assert_eq!(resume(&report), Err(NotResumable::Report));
    }

    #[test]
    fn a_message_sent_back_in_as_it_is_matches_nothing() {
        let mut context = Context::new();
        context.promote(bts::RECEIVE_PORT_NAME, Value::string("In")).unwrap();
        let handed = handed_over(&context);
        assert_eq!((handed.text(&bts::RECEIVE_PORT_NAME), handed.promoted().count()), (Some("In"), 0));
        assert_eq!(context.property(&bts::RECEIVE_PORT_NAME).map(|p| p.kind), Some(Kind::Promoted), "the stored message is immutable");
    }
}
