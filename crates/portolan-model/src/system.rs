//! The system properties: namespaces with their prefixes, and the `BTS.*`, `ErrorReport.*`, `FILE.*`,
//! `HTTP.*` and `XMLNORM.*` names that messaging uses (manual page "Message Context Properties").

use crate::{property::Name, value::ValueType};

/// Well-known namespaces: `(prefix, URI)`. The position is part of the stored form of a context:
/// append only.
pub const NAMESPACES: &[(&str, &str)] = &[
    ("BTS", "http://schemas.microsoft.com/BizTalk/2003/system-properties"),
    ("XMLNORM", "http://schemas.microsoft.com/BizTalk/2003/xmlnorm-properties"),
    ("FILE", "http://schemas.microsoft.com/BizTalk/2003/file-properties"),
    ("HTTP", "http://schemas.microsoft.com/BizTalk/2003/http-properties"),
    ("ErrorReport", "http://schemas.microsoft.com/BizTalk/2005/error-report"),
    ("btsDistinguishedFields", "http://schemas.microsoft.com/BizTalk/2003/btsDistinguishedFields"),
    ("MIME", "http://schemas.microsoft.com/BizTalk/2003/mime-properties"),
    ("MessageTracking", "http://schemas.microsoft.com/BizTalk/2003/messagetracking-properties"),
    ("PTL", "urn:portolan:system-properties"),
];

/// The prefix of a well-known namespace.
#[must_use]
pub fn prefix_of(namespace: &str) -> Option<&'static str> {
    NAMESPACES.iter().find(|(_, uri)| *uri == namespace).map(|(prefix, _)| *prefix)
}

/// The namespace of a well-known prefix (exact case).
#[must_use]
pub fn namespace_of(prefix: &str) -> Option<&'static str> {
    NAMESPACES.iter().find(|(known, _)| *known == prefix).map(|(_, uri)| *uri)
}

/// The position of a well-known namespace in [`NAMESPACES`].
#[must_use]
pub fn namespace_number(namespace: &str) -> Option<u8> {
    NAMESPACES.iter().position(|(_, uri)| *uri == namespace).and_then(|at| u8::try_from(at).ok())
}

/// A system property: its name and type, and whether the engine promotes it.
#[derive(Clone, Debug)]
pub struct SystemProperty {
    /// Full name.
    pub name: Name,
    /// Type of its value.
    pub value_type: ValueType,
    /// Whether filters may use it: somebody promotes it.
    pub promoted: bool,
}

macro_rules! properties {
    ($module:ident, $uri:expr, $doc:literal, { $($konst:ident = $local:literal, $ty:ident, $promoted:literal;)* }) => {
        #[doc = $doc]
        #[allow(missing_docs)]
        pub mod $module {
            use crate::property::Name;
            $(pub const $konst: Name = Name::known($uri, $local);)*
            pub(super) fn all() -> Vec<super::SystemProperty> {
                vec![$(super::SystemProperty { name: $konst, value_type: crate::value::ValueType::$ty, promoted: $promoted }),*]
            }
        }
    };
}

properties!(bts, "http://schemas.microsoft.com/BizTalk/2003/system-properties", "`BTS.*`: the engine's own properties.", {
    ACK_DESCRIPTION = "AckDescription", String, false;
    ACK_FAILURE_CATEGORY = "AckFailureCategory", Int32, true;
    ACK_FAILURE_CODE = "AckFailureCode", String, true;
    ACK_ID = "AckID", String, true;
    ACK_INBOUND_TRANSPORT_LOCATION = "AckInboundTransportLocation", String, true;
    ACK_OUTBOUND_TRANSPORT_LOCATION = "AckOutboundTransportLocation", String, true;
    ACK_OWNER_ID = "AckOwnerID", String, true;
    ACK_RECEIVE_PORT_ID = "AckReceivePortID", String, true;
    ACK_RECEIVE_PORT_NAME = "AckReceivePortName", String, true;
    ACK_SEND_PORT_ID = "AckSendPortID", String, true;
    ACK_SEND_PORT_NAME = "AckSendPortName", String, true;
    ACK_TYPE = "AckType", String, true;
    ACTION_ON_FAILURE = "ActionOnFailure", Int32, false;
    CORRELATION_TOKEN = "CorrelationToken", String, true;
    ENCRYPTION_CERT = "EncryptionCert", String, false;
    EPM_RR_CORRELATION_TOKEN = "EpmRRCorrelationToken", String, true;
    INBOUND_TRANSPORT_LOCATION = "InboundTransportLocation", String, true;
    INBOUND_TRANSPORT_TYPE = "InboundTransportType", String, true;
    INTERCHANGE_ID = "InterchangeID", String, false;
    INTERCHANGE_SEQUENCE_NUMBER = "InterchangeSequenceNumber", Int32, true;
    IS_DYNAMIC_SEND = "IsDynamicSend", Boolean, false;
    IS_SOLICIT_RESPONSE = "IsSolicitResponse", Boolean, false;
    LOOPBACK = "Loopback", Boolean, false;
    MESSAGE_DESTINATION = "MessageDestination", String, false;
    MESSAGE_TYPE = "MessageType", String, true;
    OPERATION = "Operation", String, true;
    OUTBOUND_TRANSPORT_LOCATION = "OutboundTransportLocation", String, true;
    OUTBOUND_TRANSPORT_TYPE = "OutboundTransportType", String, true;
    PROPERTIES_TO_UPDATE = "PropertiesToUpdate", String, false;
    RECEIVE_LOCATION_NAME = "ReceiveLocationName", String, false;
    RECEIVE_PORT_ID = "ReceivePortID", String, true;
    RECEIVE_PORT_NAME = "ReceivePortName", String, true;
    RETRY_COUNT = "RetryCount", Int32, false;
    RETRY_INTERVAL = "RetryInterval", Int32, false;
    ROUTE_DIRECT_TO_TP = "RouteDirectToTP", Boolean, true;
    SIGNATURE_CERTIFICATE = "SignatureCertificate", String, false;
    SOURCE_PARTY_ID = "SourcePartyID", String, false;
    SPG_ID = "SPGroupID", String, true;
    SP_ID = "SPID", String, true;
    SP_NAME = "SPName", String, true;
    SP_TRANSPORT_BACKUP_ID = "SPTransportBackupID", String, true;
    SP_TRANSPORT_ID = "SPTransportID", String, true;
    SSO_TICKET = "SSOTicket", String, false;
    SUSPEND_AS_NON_RESUMABLE = "SuspendAsNonResumable", Boolean, false;
    SUSPEND_ON_MAPPING_FAILURE = "SuspendMessageOnMappingFailure", Boolean, false;
    SUSPEND_ON_ROUTING_FAILURE = "SuspendMessageOnRoutingFailure", Boolean, true;
    WINDOWS_USER = "WindowsUser", String, false;
});

properties!(error_report, "http://schemas.microsoft.com/BizTalk/2005/error-report", "`ErrorReport.*`: what a routing failure report and an error message carry.", {
    DESCRIPTION = "Description", String, false;
    ERROR_TYPE = "ErrorType", String, true;
    FAILURE_ADAPTER = "FailureAdapter", String, false;
    FAILURE_CATEGORY = "FailureCategory", Int32, true;
    FAILURE_CODE = "FailureCode", String, true;
    FAILURE_INSTANCE_ID = "FailureInstanceID", String, false;
    FAILURE_MESSAGE_ID = "FailureMessageID", String, false;
    FAILURE_TIME = "FailureTime", DateTime, false;
    INBOUND_TRANSPORT_LOCATION = "InboundTransportLocation", String, true;
    MESSAGE_TYPE = "MessageType", String, true;
    OUTBOUND_TRANSPORT_LOCATION = "OutboundTransportLocation", String, true;
    PROCESSING_SERVER = "ProcessingServer", String, false;
    RECEIVE_PORT_NAME = "ReceivePortName", String, true;
    ROUTING_FAILURE_REPORT_ID = "RoutingFailureReportID", String, true;
    SEND_PORT_NAME = "SendPortName", String, true;
});

properties!(file, "http://schemas.microsoft.com/BizTalk/2003/file-properties", "`FILE.*`: set and read by the FILE adapter.", {
    ALLOW_CACHE_ON_WRITE = "AllowCacheOnWrite", Boolean, false;
    COPY_MODE = "CopyMode", UInt32, false;
    FILE_CREATION_TIME = "FileCreationTime", DateTime, false;
    RECEIVED_FILE_NAME = "ReceivedFileName", String, true;
    TARGET_FILE_NAME = "TargetFileName", String, false;
    USE_TEMP_FILE_ON_WRITE = "UseTempFileOnWrite", Boolean, false;
});

properties!(http, "http://schemas.microsoft.com/BizTalk/2003/http-properties", "`HTTP.*`: set and read by the HTTP adapter.", {
    CONTENT_TYPE = "ContentType", String, false;
    INBOUND_HTTP_HEADERS = "InboundHttpHeaders", String, false;
    MAX_REDIRECTS = "MaxRedirects", Int32, false;
    REQUEST_TIMEOUT = "RequestTimeout", Int32, false;
    RESPONSE_STATUS_CODE = "ResponseStatusCode", Int32, false;
    SUBMISSION_HANDLE = "SubmissionHandle", String, false;
    USER_HTTP_HEADERS = "UserHttpHeaders", String, false;
});

properties!(xmlnorm, "http://schemas.microsoft.com/BizTalk/2003/xmlnorm-properties", "`XMLNORM.*`: read and set by the XML components; they beat component settings.", {
    ADD_XML_DECLARATION = "AddXMLDeclaration", Boolean, false;
    ALLOW_UNRECOGNIZED_MESSAGE = "AllowUnrecognizedMessage", Boolean, false;
    DOCUMENT_SPEC_NAME = "DocumentSpecName", String, false;
    ENVELOPE_SPEC_NAME = "EnvelopeSpecName", String, false;
    FLAT_FILE_HEADER_DOCUMENT = "FlatFileHeaderDocument", String, false;
    HEADER_SPEC_NAME = "HeaderSpecName", String, false;
    PROCESSING_INSTRUCTION = "ProcessingInstruction", String, false;
    PROCESSING_INSTRUCTION_OPTION = "ProcessingInstructionOption", Int32, false;
    PROMOTE_PROPERTIES_ONLY = "PromotePropertiesOnly", Boolean, false;
    SOURCE_CHARSET = "SourceCharset", String, false;
    TARGET_CHARSET = "TargetCharset", String, false;
    TRAILER_SPEC_NAME = "TrailerSpecName", String, false;
});

properties!(ptl, "urn:portolan:system-properties", "`PTL.*`: what the reference product has no name for.", {
    ORIGINAL_MESSAGE_ID = "OriginalMessageID", String, true;
});

/// Every system property, in order of prefix and name.
#[must_use]
pub fn all() -> Vec<SystemProperty> {
    [bts::all(), error_report::all(), file::all(), http::all(), xmlnorm::all(), ptl::all()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_property_has_a_prefix() {
        for property in all() {
            assert!(property.name.to_string().contains('.') && !property.name.to_string().starts_with('{'), "{}", property.name);
        }
        assert_eq!(bts::RECEIVE_PORT_NAME.to_string(), "BTS.ReceivePortName");
    }
}
