//! Pickles: what they say, and all that they may not do.

use super::super::{EmitterFault, Writer, read};
use super::{LIMIT, emitted, json};
use crate::domain::command::Payload;

/// python-socketio 5.10 on Python 3.11, in protocols 2 to 5: None, numbers of every size, texts,
/// tuples, a list that is shared; bytes from protocol 3 on.
pub(super) const PICKLES: [&[u8]; 4] = [
    b"\x80\x02}q\x00(X\x06\x00\x00\x00methodq\x01X\x04\x00\x00\x00emitq\x02X\x05\x00\x00\x00even\
      tq\x03X\x0f\x00\x00\x00project.updatedq\x04X\x04\x00\x00\x00dataq\x05}q\x06(X\x01\x00\x00\
      \x00aq\x07]q\x08(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\
      \x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x88NX\x02\
      \x00\x00\x00\xc3\xa9q\x09K\x01\x85q\x0a(K\x01K\x02K\x03K\x04tq\x0b}q\x0ceX\x04\x00\x00\x00\
      sameq\x0d]q\x0e(]q\x0fK\x01ah\x0feuX\x09\x00\x00\x00namespaceq\x10X\x03\x00\x00\x00/wsq\
      \x11X\x04\x00\x00\x00roomq\x12X\x09\x00\x00\x00project:1q\x13X\x08\x00\x00\x00skip_sidq\
      \x14]q\x15X \x00\x00\x0000000000000000000000000000000000q\x16aX\x08\x00\x00\x00callbackq\
      \x17NX\x07\x00\x00\x00host_idq\x18X \x00\x00\x000123456789abcdef0123456789abcdefq\x19u.",
    b"\x80\x03}q\x00(X\x06\x00\x00\x00methodq\x01X\x04\x00\x00\x00emitq\x02X\x05\x00\x00\x00even\
      tq\x03X\x0f\x00\x00\x00project.updatedq\x04X\x04\x00\x00\x00dataq\x05}q\x06(X\x01\x00\x00\
      \x00aq\x07]q\x08(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\
      \x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x88NX\x02\
      \x00\x00\x00\xc3\xa9q\x09C\x02\x00\xffq\x0aK\x01\x85q\x0b(K\x01K\x02K\x03K\x04tq\x0c}q\x0d\
      eX\x04\x00\x00\x00sameq\x0e]q\x0f(]q\x10K\x01ah\x10euX\x09\x00\x00\x00namespaceq\x11X\x03\
      \x00\x00\x00/wsq\x12X\x04\x00\x00\x00roomq\x13X\x09\x00\x00\x00project:1q\x14X\x08\x00\x00\
      \x00skip_sidq\x15]q\x16X \x00\x00\x0000000000000000000000000000000000q\x17aX\x08\x00\x00\
      \x00callbackq\x18NX\x07\x00\x00\x00host_idq\x19X \x00\x00\x000123456789abcdef0123456789abc\
      defq\x1au.",
    b"\x80\x04\x95+\x01\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05e\
      vent\x94\x8c\x0fproject.updated\x94\x8c\x04data\x94}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\
      \xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\
      \x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x88N\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94K\
      \x01\x85\x94(K\x01K\x02K\x03K\x04t\x94}\x94e\x8c\x04same\x94]\x94(]\x94K\x01ah\x10eu\x8c\
      \x09namespace\x94\x8c\x03/ws\x94\x8c\x04room\x94\x8c\x09project:1\x94\x8c\x08skip_sid\x94]\
      \x94\x8c 00000000000000000000000000000000\x94a\x8c\x08callback\x94N\x8c\x07host_id\x94\x8c\
      \x200123456789abcdef0123456789abcdef\x94u.",
    b"\x80\x05\x95+\x01\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05e\
      vent\x94\x8c\x0fproject.updated\x94\x8c\x04data\x94}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\
      \xff\xffM,\x01Jp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\
      \x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x88N\x8c\x02\xc3\xa9\x94C\x02\x00\xff\x94K\
      \x01\x85\x94(K\x01K\x02K\x03K\x04t\x94}\x94e\x8c\x04same\x94]\x94(]\x94K\x01ah\x10eu\x8c\
      \x09namespace\x94\x8c\x03/ws\x94\x8c\x04room\x94\x8c\x09project:1\x94\x8c\x08skip_sid\x94]\
      \x94\x8c 00000000000000000000000000000000\x94a\x8c\x08callback\x94N\x8c\x07host_id\x94\x8c\
      \x200123456789abcdef0123456789abcdef\x94u.",
];

/// A pickle of `{"method": "emit", "event": "e", "data": …}` whose data is made by `instructions`.
fn pickle(instructions: &[u8]) -> Vec<u8> {
    let mut pickle =
        b"\x80\x04}(\x8c\x06method\x8c\x04emit\x8c\x05event\x8c\x01e\x8c\x04data".to_vec();
    pickle.extend(instructions);
    pickle.extend(b"u.");
    pickle
}

#[test]
fn a_pickle_of_each_protocol_says_the_same() {
    for (protocol, pickle) in (2..).zip(PICKLES) {
        let emit = emitted(Writer::Python, "socketio", pickle);
        assert_eq!((&*emit.namespace, &*emit.event), ("/ws", "project.updated"));
        assert_eq!(emit.rooms, ["project:1"]);
        assert_eq!(emit.except.len(), 1);
        let bytes = if protocol == 2 {
            ""
        } else {
            r#"{"base64":"AP8="},"#
        };
        let list = r#"1,-2,300,70000,1099511627776,-1180591620717411303424,1.5,true,null,"é","#;
        let expected = format!(r#"{{"a":[{list}{bytes}[1],[1,2,3,4],{{}}],"same":[[1],[1]]}}"#);
        assert_eq!(json(&emit), expected, "{protocol}");
    }
}

#[test]
fn a_tuple_is_several_arguments_and_a_list_is_one() {
    let check = |instructions: &[u8], expected: &str| {
        let pickle = pickle(instructions);
        assert_eq!(json(&emitted(Writer::Python, "", &pickle)), expected);
    };
    check(b"N", "null");
    check(b")", "null");
    check(b"K\x01\x85", "1");
    check(b"K\x01K\x02\x86", "[1,2]");
    check(b"](K\x01e", "[1]");
    check(b"](K\x01K\x02e", "[1,2]");
    check(
        b"}(K\x01NN\x88\x89K\x02G\x3f\xf8\0\0\0\0\0\0)u",
        r#"{"1":null,"null":true,"false":2,"1.5":[]}"#,
    );
    check(b"G\x7f\xf8\0\0\0\0\0\0", "null");
    check(b"\x8c\x03a\nb", r#""a\nb""#);
    check(b"\x8a\x00", "0");
    check(b"\x8a\x01\xff", "-1");
    let bytes = emitted(Writer::Python, "", &pickle(b"C\x02\x00\xff"));
    assert_eq!(bytes.payload, Payload::Bytes(vec![0, 255].into()));
    let array = emitted(Writer::Python, "", &pickle(b"\x96\x01\0\0\0\0\0\0\0\x07"));
    assert_eq!(array.payload, Payload::Bytes(vec![7].into()));
}

#[test]
fn a_pickle_that_builds_anything_else_is_refused_where_it_begins_to() {
    let check = |pickle: &[u8], at: usize, instruction: u8| {
        let fault = read(Writer::Python, "", pickle, LIMIT).unwrap_err();
        assert_eq!(fault, EmitterFault::Instruction { at, instruction });
    };
    // os.system("true"), as protocols 2 and 4 write what __reduce__ answers.
    let old = b"\x80\x02}q\x00(X\x06\x00\x00\x00methodq\x01X\x04\x00\x00\x00emitq\x02X\x04\x00\x00\
        \x00dataq\x03cposix\nsystem\nq\x04X\x04\x00\x00\x00trueq\x05\x85q\x06Rq\x07u.";
    let call = old.windows(6).position(|bytes| bytes == b"cposix");
    check(old, call.unwrap(), b'c');
    let new =
        b"\x80\x04\x95:\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\
        \x04data\x94\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94u.";
    let call = new.iter().position(|byte| *byte == 0x93);
    check(new, call.unwrap(), 0x93);
    let data = pickle(b"").len() - 2;
    // GLOBAL, INST, OBJ, NEWOBJ, NEWOBJ_EX, REDUCE, BUILD, EXT1 to EXT4, PERSID, BINPERSID, the
    // sets, the buffers out of band, POP, DUP, and the texts of protocol 0.
    for instruction in b"cio\x81\x92Rb\x82\x83\x84PQ\x8f\x90\x91\x97\x9801VSTUFILdl2" {
        check(&pickle(&[*instruction, b'N']), data, *instruction);
    }
    // Nothing on the stack to work on, or the wrong thing.
    check(b"\x80\x04.", 2, b'.');
    check(b"\x80\x04NN.", 4, b'.');
    check(b"\x80\x04(N.", 4, b'.');
    check(b"\x80\x04\x85.", 2, 0x85);
    check(b"\x80\x04N(\x85.", 4, 0x85);
    check(b"\x80\x04t.", 2, b't');
    check(b"\x80\x04](Ke.", 6, b'.');
    check(b"\x80\x04Na.", 3, b'a');
    check(b"\x80\x04NNa.", 4, b'a');
    check(b"\x80\x04}Na.", 4, b'a');
    check(b"\x80\x04])s.", 4, b's');
    check(b"\x80\x04}(Nu.", 5, b'u');
    check(b"\x80\x04)(Ne.", 5, b'e');
    // The memo is filled in order, and gives what it has.
    check(b"\x80\x04Nq\x01.", 3, b'q');
    check(b"\x80\x04Nr\0\0\0\x80.", 3, b'r');
    check(b"\x80\x04Nq\0h\x01.", 5, b'h');
    check(b"\x80\x04q\0.", 2, b'q');
    check(b"\x80\x04j\xff\xff\xff\xff.", 2, b'j');
    // A number of 17 bytes, and protocols of the past and the future.
    check(
        &[b"\x80\x04\x8a\x11".as_slice(), &[1; 17], b"."].concat(),
        2,
        0x8a,
    );
    check(b"\x80\x01N.", 0, 0x80);
    check(b"\x80\x06N.", 0, 0x80);
}

#[test]
fn what_refers_to_itself_or_grows_without_end_is_refused() {
    let check = |pickle: &[u8], expected: EmitterFault| {
        assert_eq!(
            read(Writer::Python, "", pickle, LIMIT).unwrap_err(),
            expected
        );
    };
    check(&pickle(b"]\x94h\0a"), EmitterFault::TooDeep);
    check(&pickle(b"}\x94\x8c\x01ah\0s"), EmitterFault::TooDeep);
    // Each list is ten times the one in it, 20 deep.
    let mut laughs = b"]\x94(".repeat(20);
    laughs.extend(b"]\x94\x8c\x03ha!\x94a");
    for inner in (1..=20).rev() {
        laughs.extend([b'h', inner].repeat(9));
        laughs.push(b'e');
    }
    check(&pickle(&laughs), EmitterFault::TooLarge { limit: LIMIT });
    let deep = |depth: usize| pickle(&[b"]".repeat(depth), b"a".repeat(depth - 1)].concat());
    check(&deep(127), EmitterFault::TooDeep);
    assert!(read(Writer::Python, "", &deep(126), LIMIT).is_ok());
    check(&pickle(&b"](".repeat(1000)), EmitterFault::TooDeep);
    check(&pickle(&b"N".repeat(300_000)), EmitterFault::TooMany);
    let bell = [b"X\0\0\x03\0".as_slice(), &b"\x07".repeat(3 << 16)].concat();
    check(&pickle(&bell), EmitterFault::TooLarge { limit: LIMIT });
    check(
        &vec![0x80; LIMIT + 1],
        EmitterFault::TooLarge { limit: LIMIT },
    );
}
