//! The XML reader against an independent parser (libxml2's `xmllint`, which `cargo xtask setup` installs):
//! what Portolan accepts as well-formed, libxml2 must accept too, and the other way round but for what
//! Portolan refuses on purpose.

use portolan_fuzz::{
    campaign,
    mutate::{Random, mutate},
    targets,
};
use portolan_model::code;
use portolan_pipelines::xml::{Input, Limits, Reader, Token, XmlError};
use portolan_sdk::Body;
use std::{fs, io::ErrorKind, path::Path, process::Command};

/// Mutated inputs compared; each costs a process.
const INPUTS: usize = 400;

fn ours(bytes: &[u8]) -> Result<(), XmlError> {
    let limits = Limits::default();
    let mut reader = Reader::new(Input::open(Body::from_bytes(bytes.to_vec()), None, limits.total_bytes)?, limits);
    while reader.next_token()? != Token::Eof {}
    Ok(())
}

/// Libxml2 stopped without judging the text.
const NO_VERDICT: &str = "no verdict";

/// What libxml2 says: its complaints, empty when there are none.
fn theirs(file: &Path) -> Option<String> {
    match Command::new("xmllint").args(["--noout", "--nonet", "--huge"]).arg(file).output() {
        Ok(output) => {
            // That a namespace is no well-formed URI is a complaint about style: names are compared as text.
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.code() != Some(0) && !words.contains(" error : ") || words.contains("nsupported encoding") {
                return Some(NO_VERDICT.to_owned());
            }
            let complaints = words.lines().filter(|line| {
                line.contains(" error : ") && !line.contains("is not a valid URI") && !line.contains("Unsupported encoding")
            });
            Some(complaints.collect::<Vec<_>>().join("\n"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("xmllint: {error}"),
    }
}

#[test]
fn the_reader_and_libxml2_agree_about_what_is_well_formed() {
    let target = targets::find("xml").unwrap();
    let seeds = campaign::corpus(target).unwrap();
    let folder = std::env::temp_dir().join(format!("portolan-libxml2-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("input.xml");
    let mut random = Random::new(20_261_122);
    let (mut both, mut neither) = (0, 0);
    for number in 0..INPUTS {
        let mut input = seeds[number % seeds.len()].clone();
        if number >= seeds.len() {
            mutate(&mut random, &mut input, &seeds, target.words, 2048);
        }
        fs::write(&file, &input).unwrap();
        let Some(complaints) = theirs(&file) else {
            eprintln!("xmllint is not installed: nothing was compared; `cargo xtask setup` installs it");
            return;
        };
        // Libxml2 stops at an encoding it does not know; Portolan believes the byte order mark.
        if complaints == NO_VERDICT {
            continue;
        }
        let shown = || format!("{}\nlibxml2: {complaints}", String::from_utf8_lossy(&input));
        match (ours(&input), complaints.is_empty()) {
            (Ok(()), true) => both += 1,
            (Err(_), false) => neither += 1,
            (Ok(()), false) => panic!("accepted, but libxml2 refuses:\n{}", shown()),
            (Err(error), true) => {
                let on_purpose = [code::XML_DTD_REFUSED, code::XML_LIMIT, code::XML_CHARSET].contains(&error.code);
                assert!(on_purpose, "refused ({error}), but libxml2 accepts:\n{}", shown());
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(both > 10 && neither > 10, "the inputs say nothing: {both} accepted, {neither} refused by both");
}
