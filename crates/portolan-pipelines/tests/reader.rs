//! The reader against documents that are wrong, hostile, cut anywhere, or in any character set.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Bench, message, streamed, text};
use portolan_model::system::xmlnorm;
use portolan_pipelines::xml::{Input, Limits, Reader, Token, XmlError};
use portolan_sdk::Body;
use serde_json::json;
use std::io::{self, Read, Seek, SeekFrom};

fn read(body: Body, limits: Limits) -> Result<Vec<(Token, String)>, XmlError> {
    let mut reader = Reader::new(Input::open(body, None, limits.total_bytes)?, limits);
    let mut tokens: Vec<(Token, String)> = Vec::new();
    loop {
        let token = reader.next_token()?;
        if token == Token::Eof {
            return Ok(tokens);
        }
        let raw = String::from_utf8(reader.raw().to_vec()).unwrap();
        match tokens.last_mut() {
            // Long tokens come in pieces.
            Some((last, all)) if *last == token && matches!(token, Token::Text) => all.push_str(&raw),
            Some((last, all)) if *last == token && token == Token::CData && !all.ends_with("]]>") => all.push_str(&raw),
            Some((last, all)) if *last == token && token == Token::Comment && !all.ends_with("-->") => all.push_str(&raw),
            Some((last, all)) if *last == token && token == Token::Instruction && !all.ends_with("?>") => all.push_str(&raw),
            _ => tokens.push((token, raw)),
        }
    }
}

fn whole(text: &str) -> Result<Vec<(Token, String)>, XmlError> {
    read(Body::from_bytes(text.as_bytes().to_vec()), Limits::default())
}

/// A stream too long to be taken into memory whose text is `text` and blanks.
fn padded(text: &str) -> Body {
    let all = format!("{text}{}", " ".repeat(2 << 20)).into_bytes();
    Body::from_stream(io::Cursor::new(all), Some(2 << 21))
}

#[test]
fn malformed_documents_are_refused_in_memory_and_as_streams() {
    for (text, code) in [
        ("<a>", "PTL0110"),
        ("<a></b>", "PTL0110"),
        ("<a></a >x", "PTL0110"),
        ("<a/><b/>", "PTL0110"),
        ("<a></a></a>", "PTL0110"),
        ("</a>", "PTL0110"),
        ("x<a/>", "PTL0110"),
        ("<a/>&#65;", "PTL0110"),
        ("<![CDATA[x]]><a/>", "PTL0110"),
        ("<a>]]></a>", "PTL0110"),
        ("<a>]]]]]></a>", "PTL0110"),
        ("<a>& b</a>", "PTL0110"),
        ("<a>&#0;</a>", "PTL0110"),
        ("<a>\u{1}</a>", "PTL0110"),
        ("<a>\u{FFFE}</a>", "PTL0110"),
        ("<a><!-- -- --></a>", "PTL0110"),
        ("<a><!-- x", "PTL0110"),
        ("<a><![CDATA[ x", "PTL0110"),
        ("<a><?p x", "PTL0110"),
        ("<a><?xml version='1.0'?></a>", "PTL0110"),
        ("<?xml version='2.0'?><a/>", "PTL0110"),
        ("<?xml encoding='utf-8' version='1.0'?><a/>", "PTL0110"),
        ("<?xml version='1.0' version='1.0'?><a/>", "PTL0110"),
        (" <?xml version='1.0'?><a/>", "PTL0110"),
        ("<a><?a:b x?></a>", "PTL0110"),
        ("<a><??></a>", "PTL0110"),
        ("<a><!ELEMENT x></a>", "PTL0110"),
        ("<a b='1' b='2'/>", "PTL0110"),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", "PTL0110"),
        ("<p:a/>", "PTL0110"),
        ("<a p:b=''/>", "PTL0110"),
        ("<a xmlns:p=''/>", "PTL0110"),
        ("<a xmlns:xmlns='u'/>", "PTL0110"),
        ("<a xmlns:xml='u'/>", "PTL0110"),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", "PTL0110"),
        ("<a xmlns:p='u'><b xmlns:q='u'/><q:c/></a>", "PTL0110"),
        ("<a>&unknown;</a>", "PTL0113"),
        ("<a b='&unknown;'/>", "PTL0113"),
        ("<!DOCTYPE a><a/>", "PTL0113"),
        ("<!doctype a><a/>", "PTL0113"),
        ("", "PTL0110"),
        ("   ", "PTL0110"),
    ] {
        let error = whole(text).expect_err(text);
        assert_eq!(error.code.id, code, "{text}: {error}");
        assert!(error.line >= 1 && error.column >= 1, "{text}");
        let error = read(padded(text), Limits::default()).expect_err(text);
        assert_eq!(error.code.id, code, "streamed {text}: {error}");
    }
}

#[test]
fn odd_but_well_formed_documents_are_read() {
    for text in [
        "<a\n b = '1'\tc=\">'\" ></a\n>",
        "<a>]] > ]>]</a>",
        "<a>\u{FFFD}\u{FEFF}\u{10FFFF}&#x10FFFF;</a>",
        "<a><!----><!-- - --><![CDATA[]]><![CDATA[]]]]><?p?><?p ??></a>",
        "<?xml version='1.1' standalone='no' ?><!-- --><?p?> <a/> <!-- --> <?p?>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de'/>",
        "<größe xmlns='u' xmlns:p='u' b='1' p:b='2'/>",
        "<日本.語-1/>",
    ] {
        let tokens = whole(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(tokens.iter().map(|(_, raw)| raw.as_str()).collect::<String>(), text, "nothing is left out");
    }
}

#[test]
fn the_place_of_an_error_is_line_and_character() {
    let error = whole("<a>\n  <b>ä€</c>\n</a>").unwrap_err();
    assert_eq!((error.line, error.column), (2, 8));
    assert!(error.message.contains("\"c\"") && error.message.contains("\"b\""), "{error}");
}

/// Gives one more byte at every read.
struct Dribble(io::Cursor<Vec<u8>>, usize);
impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = buffer.len().min(self.1);
        self.0.read(&mut buffer[..end])
    }
}
impl Seek for Dribble {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn tokens_are_the_same_wherever_the_window_ends() {
    let sample = "<r xmlns='u'><!-- c€- --><?p q?><![CDATA[x]]]]><e a='&lt;€'>t]]&amp;€]</e>\r\n<größe/></r>";
    let want = whole(sample).unwrap();
    // The window of a stream ends at multiples of 64 KiB: move the sample over such an end byte by byte.
    for shift in 0..=sample.len() + 2 {
        let blanks = (64 << 10) - shift;
        let text = format!("{}{sample}{}", " ".repeat(blanks), " ".repeat(1 << 20));
        let tokens = read(Body::from_stream(Dribble(io::Cursor::new(text.into_bytes()), 7919), Some(2 << 21)), Limits::default()).unwrap();
        assert_eq!(tokens[1..tokens.len() - 1], want[..], "shifted by {shift}");
    }
}

#[test]
fn attacks_end_at_once_with_a_limit() {
    let bench = Bench::new("orders");
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]><lolz>&lol2;</lolz>";
    assert_eq!(bench.failure(json!({}), laughs).0, "PTL0113");
    let external = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    let (code, words) = bench.failure(json!({}), external);
    assert_eq!(code, "PTL0113");
    assert!(!words.contains("root:"));
    let deep = format!("<o:Order xmlns:o='urn:example:order'>{}", "<a>".repeat(200_000));
    assert_eq!(bench.failure(json!({}), deep.clone()).0, "PTL0114");
    assert_eq!(bench.failure(json!({ "limits": { "depth": 1_000_000 } }), deep).0, "PTL0110");
    let attributes: String = (0..2000).map(|n| format!(" a{n}=''")).collect();
    let limited = |limits: serde_json::Value| json!({ "allow_unrecognized_message": true, "limits": limits });
    for (limits, text) in [
        (json!({}), format!("<a{attributes}/>")),
        (json!({}), format!("<{}/>", "n".repeat(2000))),
        (json!({}), format!("<a b='{}'/>", "x".repeat(5 << 20))),
        (json!({ "namespaces": 3 }), "<a xmlns='a' xmlns:b='b'><c xmlns:d='d' xmlns:e='e'/></a>".to_owned()),
        (json!({ "text_bytes": 1000 }), format!("<a>{}</a>", "x".repeat(1001))),
        (json!({ "text_bytes": 1000 }), format!("<a><![CDATA[{}]]></a>", "x".repeat(1001))),
        (json!({ "total_bytes": 1000 }), format!("<a>{}</a>", "x".repeat(1000))),
    ] {
        assert_eq!(bench.failure(limited(limits.clone()), text.clone()).0, "PTL0114", "{limits}");
        let stream = streamed(format!("{text}{}", " ".repeat(2 << 20)));
        assert_eq!(bench.disassemble(limited(limits), stream).unwrap_err().code.id, "PTL0114");
    }
    let order = "<o:Order xmlns:o='urn:example:order'/>";
    let batch = format!("<b:Batch xmlns:b='urn:example:batch'><b:Body>{}</b:Body></b:Batch>", order.repeat(5));
    assert_eq!(bench.failure(json!({ "limits": { "documents": 5 } }), batch.clone()).0, "PTL0114");
    assert_eq!(bench.disassemble(json!({ "limits": { "documents": 6 } }), message(batch)).unwrap().len(), 5);
    let heavy =
        format!("<b:Batch xmlns:b='urn:example:batch' xmlns:h='{}'><b:Body>{}</b:Body></b:Batch>", "h".repeat(1 << 20), order.repeat(9));
    assert_eq!(bench.failure(json!({ "limits": { "total_bytes": 4 << 20 } }), heavy).0, "PTL0114", "declarations passed on count");
    let (code, words) = bench.failure(json!({}), format!("<a xmlns='{}'/>", "u".repeat(1 << 20)));
    assert!(code == "PTL0111" && words.len() < 1000, "a hostile name does not fill the log");
    let note = format!("<o:Order xmlns:o='urn:example:order'><Note>{}</Note></o:Order>", "n".repeat(2 << 20));
    assert_eq!(bench.failure(json!({}), note).0, "PTL0114");
}

#[test]
fn every_charset_comes_out_as_utf_8_and_is_remembered_when_named() {
    let bench = Bench::new("orders");
    let body = "<o:Order xmlns:o='urn:example:order'><Head><Country>Ärö</Country></Head></o:Order>";
    let declared = |label: &str| format!("<?xml version='1.0' encoding='{label}'?>{body}");
    let utf16 = |text: &str, swap: bool| -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if swap { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    let table = |label: &str, text: &str| encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text).0.into_owned();
    let marked = |text: &str| format!("\u{FEFF}{text}");
    let cases: Vec<(Vec<u8>, Option<&str>, Option<&str>)> = vec![
        (body.into(), None, Some("utf-8")),
        (declared("UTF-8").into(), None, Some("utf-8")),
        (marked(&declared("windows-1252")).into(), Some("us-ascii"), None),
        (utf16(&marked(body), false), None, None),
        (utf16(&marked(&declared("utf-16")), true), Some("utf-8"), None),
        (utf16(body, false), None, Some("utf-16")),
        (utf16(body, true), None, Some("utf-16be")),
        (utf16(body, false), Some("UTF-16"), Some("utf-16")),
        (declared("utf-16").into(), None, Some("utf-8")),
        (table("windows-1252", &declared("windows-1252")), None, Some("windows-1252")),
        (table("windows-1250", &declared("windows-1250")), None, Some("windows-1250")),
        (table("windows-1252", &declared("iso-8859-1")), None, Some("iso-8859-1")),
        (table("windows-1252", &declared("utf-8")), Some("ISO-8859-1"), Some("iso-8859-1")),
        (table("windows-1252", body), Some("\"windows-1252\""), Some("windows-1252")),
    ];
    for (bytes, part, source) in cases {
        let long = [bytes.clone(), Vec::new()].concat();
        for stream in [false, true] {
            let mut interchange = if stream { streamed(long.clone()) } else { message(bytes.clone()) };
            interchange.parts[0].charset = part.map(Into::into);
            let mut documents = bench.disassemble(json!({}), interchange).unwrap_or_else(|e| panic!("{part:?} {source:?}: {e}"));
            assert_eq!(text(&mut documents[0]), body);
            assert_eq!(documents[0].context.text(&xmlnorm::SOURCE_CHARSET), source);
            assert_eq!(common::order(&documents[0], "Country").as_deref(), Some("Ärö"));
        }
    }
    for (bytes, part) in [
        (table("windows-1252", body), None),
        (table("windows-1252", body), Some("us-ascii")),
        (declared("klingon").into(), None),
        (body.into(), Some("klingon")),
    ] {
        let mut interchange = message(bytes);
        interchange.parts[0].charset = part.map(Into::into);
        assert_eq!(bench.disassemble(json!({}), interchange).unwrap_err().code.id, "PTL0117");
    }
}

#[test]
fn long_converted_streams_are_cut_right() {
    let bench = Bench::new("orders");
    let document = |n: usize| {
        format!("<o:Order xmlns:o='urn:example:order'><Head><Country>Ö{n}</Country></Head><Line>{}</Line></o:Order>", "ä€".repeat(20_000))
    };
    let inner: String = (0..40).map(document).collect();
    let interchange = format!("\u{FEFF}<!-- ä --><b:Batch xmlns:b='urn:example:batch'><b:Body>{inner}</b:Body></b:Batch>");
    let utf16: Vec<u8> = interchange.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut documents = bench.disassemble(json!({}), streamed(utf16)).unwrap();
    assert_eq!(documents.len(), 40);
    for (n, found) in documents.iter_mut().enumerate() {
        assert_eq!(text(found), document(n).replace("<o:Order xmlns:o", "<o:Order xmlns:b=\"urn:example:batch\" xmlns:o"));
        assert_eq!(common::order(found, "Country"), Some(format!("Ö{n}")));
    }
    let single = format!(
        "\u{FEFF}<?xml version='1.0'?> <?keep?><!-- ä -->{}<!-- lost -->",
        document(0).replace("</Line>", &format!("{}</Line>", "ä".repeat(1 << 20)))
    );
    let utf16: Vec<u8> = single.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut documents = bench.disassemble(json!({}), streamed(utf16)).unwrap();
    let want = single.trim_start_matches("\u{FEFF}<?xml version='1.0'?> ").trim_end_matches("<!-- lost -->");
    assert!(text(&mut documents[0]) == want);
}
