// What config refuses, and the exact sentence for each: every message names file, line, column,
// key, what is wrong and what was expected.
#include "cluster/err.h"
#include "proto/err.h"
#include "tests/unit/cluster/config_sample.h"
#include "tests/unit/unit.h"

struct bad {
    struct slice text;
    const char *message;
};

// clang-format off
static const struct bad bad[] = {
    {SLICE_LIT(""),
     "f.yaml:1:1: name: is missing; expected text"},
    {SLICE_LIT("# only a comment\n"),
     "f.yaml:1:1: name: is missing; expected text"},
    {SLICE_LIT("---\n...\n"),
     "f.yaml:1:1: name: is missing; expected text"},
    {SLICE_LIT("just text\n"),
     "f.yaml:1:1: the file is a single value; expected a mapping of keys and values"},
    {SLICE_LIT("- a\n- b\n"),
     "f.yaml:1:1: the file is a list; expected a mapping of keys and values"},
    {SLICE_LIT("name: x\n"),
     "f.yaml:1:1: tls.key: is missing; expected a path"},
    {SLICE_LIT("name: x\ntls: {}\n"),
     "f.yaml:2:6: tls.key: is missing; expected a path"},
    {SLICE_LIT("name: x\ntls: {key: k}\n"),
     "f.yaml:1:1: listen: is missing; expected a list, between 1 and 3 entries"},
    {SLICE_LIT("tls: {key: k}\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:1:1: name: is missing; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "wrkers: 3\n"),
     "f.yaml:6:1: wrkers: is not a known key (did you mean workers?); expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT(SAMPLE_LEAST "colour: red\n"),
     "f.yaml:6:1: colour: is not a known key; expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT(SAMPLE_LEAST "Workers: 3\n"),
     "f.yaml:6:1: Workers: is not a known key (did you mean workers?); expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT(SAMPLE_LEAST "timeotu: 1s\n"),
     "f.yaml:6:1: timeotu: is not a known key (did you mean timeout?); expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT(SAMPLE_LEAST "a\tb: 1\n"),
     "f.yaml:6:1: \"a\\x09b\": is not a known key; expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT(SAMPLE_LEAST "\"\": 1\n"),
     "f.yaml:6:1: \"\": is not a known key; expected one of name, workers, timeout, grace, body_size, verbose, note, level, tls, backup, listen, tenants, resolvers, allowed, weights"},
    {SLICE_LIT("name: x\ntls:\n  key: k\n  chian: c\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:4:3: tls.chian: is not a known key (did you mean chain?); expected one of key, chain, handshake, tickets"},
    {SLICE_LIT("name: x\ntls:\n  key: k\n  workers: 3\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:4:3: tls.workers: is not a known key; expected one of key, chain, handshake, tickets"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten:\n  - address: 127.0.0.1\n  - adress: 127.0.0.2\n"),
     "f.yaml:5:5: listen[1].adress: is not a known key (did you mean address?); expected one of address, conns_max, mode"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme:\n    titel: hello\n"),
     "f.yaml:8:5: tenants.acme.titel: is not a known key (did you mean title?); expected one of title, suffixes, rate"},
    {SLICE_LIT(SAMPLE_LEAST "name: y\n"),
     "f.yaml:6:1: name: is given twice, first on line 1; expected once"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 1\nworkers: 1\n"),
     "f.yaml:7:1: workers: is given twice, first on line 6; expected once"},
    {SLICE_LIT("name: x\ntls:\n  key: a\n  key: b\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:4:3: tls.key: is given twice, first on line 3; expected once"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  b: {title: one}\n  a: {title: two}\n  b: {title: three}\n"),
     "f.yaml:9:3: tenants.b: is given twice, first on line 7; expected once"},
    {SLICE_LIT(SAMPLE_LEAST "workers: many\n"),
     "f.yaml:6:10: workers: \"many\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: \"3\"\n"),
     "f.yaml:6:10: workers: \"3\" stands in quotes; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 3.5\n"),
     "f.yaml:6:10: workers: \"3.5\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 03\n"),
     "f.yaml:6:10: workers: \"03\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 0x3\n"),
     "f.yaml:6:10: workers: \"0x3\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: +3\n"),
     "f.yaml:6:10: workers: \"+3\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 1_000\n"),
     "f.yaml:6:10: workers: \"1_000\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 0\n"),
     "f.yaml:6:10: workers: \"0\" is too small; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 65\n"),
     "f.yaml:6:10: workers: \"65\" is too large; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 99999999999999999999\n"),
     "f.yaml:6:10: workers: \"99999999999999999999\" is not a whole number; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: -\n"),
     "f.yaml:6:10: workers: not valid YAML: block sequence entries are not allowed in this context; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "workers: [1]\n"),
     "f.yaml:6:10: workers: is a list; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: {a: 1}\n"),
     "f.yaml:6:10: workers: is a mapping; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers:\n"),
     "f.yaml:6:9: workers: has no value; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: ~\n"),
     "f.yaml:6:10: workers: has no value; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "workers: null\n"),
     "f.yaml:6:10: workers: has no value; expected a whole number, between 1 and 64"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 10\n"),
     "f.yaml:6:10: timeout: \"10\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 10 s\n"),
     "f.yaml:6:10: timeout: \"10 s\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 1h30m\n"),
     "f.yaml:6:10: timeout: \"1h30m\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: -1s\n"),
     "f.yaml:6:10: timeout: \"-1s\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 1.5s\n"),
     "f.yaml:6:10: timeout: \"1.5s\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 10S\n"),
     "f.yaml:6:10: timeout: \"10S\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: s\n"),
     "f.yaml:6:10: timeout: \"s\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT(SAMPLE_LEAST "timeout: 106751991168d\n"),
     "f.yaml:6:10: timeout: \"106751991168d\" is not a duration; expected a duration such as 500ms, 30s, 5m, 24h or 90d"},
    {SLICE_LIT("name: x\ntls: {key: k, handshake: 99ms}\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:2:26: tls.handshake: \"99ms\" is too small; expected a duration such as 500ms, 30s, 5m, 24h or 90d, between 100ms and 1m"},
    {SLICE_LIT("name: x\ntls: {key: k, handshake: 61s}\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:2:26: tls.handshake: \"61s\" is too large; expected a duration such as 500ms, 30s, 5m, 24h or 90d, between 100ms and 1m"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 64K\n"),
     "f.yaml:6:12: body_size: \"64K\" is not a size; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 64kib\n"),
     "f.yaml:6:12: body_size: \"64kib\" is not a size; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 1.5MiB\n"),
     "f.yaml:6:12: body_size: \"1.5MiB\" is not a size; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 1023\n"),
     "f.yaml:6:12: body_size: \"1023\" is too small; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 2MiB\n"),
     "f.yaml:6:12: body_size: \"2MiB\" is too large; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "body_size: 9999999999TiB\n"),
     "f.yaml:6:12: body_size: \"9999999999TiB\" is not a size; expected a size such as 4096, 64KiB, 1MiB or 2GiB, between 1KiB and 1MiB"},
    {SLICE_LIT(SAMPLE_LEAST "verbose: yes\n"),
     "f.yaml:6:10: verbose: \"yes\" is not true or false; expected true or false"},
    {SLICE_LIT(SAMPLE_LEAST "verbose: True\n"),
     "f.yaml:6:10: verbose: \"True\" is not true or false; expected true or false"},
    {SLICE_LIT(SAMPLE_LEAST "verbose: \"true\"\n"),
     "f.yaml:6:10: verbose: \"true\" stands in quotes; expected true or false"},
    {SLICE_LIT(SAMPLE_LEAST "verbose: 1\n"),
     "f.yaml:6:10: verbose: \"1\" is not true or false; expected true or false"},
    {SLICE_LIT(SAMPLE_LEAST "level: loud\n"),
     "f.yaml:6:8: level: \"loud\" is not a known choice; expected one of debug, info, warn"},
    {SLICE_LIT(SAMPLE_LEAST "level: INFO\n"),
     "f.yaml:6:8: level: \"INFO\" is not a known choice; expected one of debug, info, warn"},
    {SLICE_LIT(SAMPLE_LEAST "level: [info]\n"),
     "f.yaml:6:8: level: is a list; expected one of debug, info, warn"},
    {SLICE_LIT(SAMPLE_LEAST "note: [a, b]\n"),
     "f.yaml:6:7: note: is a list; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "note: \"a\\0b\"\n"),
     "f.yaml:6:7: note: contains a NUL byte; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "note: ~\n"),
     "f.yaml:6:7: note: has no value; expected text"},
    {SLICE_LIT("name: x\ntls: {key: \"\"}\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:2:12: tls.key: is empty; expected a path"},
    {SLICE_LIT("name: x\ntls: k.pem\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:2:6: tls: is a single value; expected a mapping of keys and values"},
    {SLICE_LIT("name: x\ntls:\nlisten: [{address: 127.0.0.1}]\n"),
     "f.yaml:2:5: tls: has no value; expected a mapping of keys and values"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: []\n"),
     "f.yaml:3:9: listen: has 0 entries; expected a list, between 1 and 3 entries"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: {address: 127.0.0.1}\n"),
     "f.yaml:3:9: listen: is a mapping; expected a list, between 1 and 3 entries"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: 127.0.0.1\n"),
     "f.yaml:3:9: listen: is a single value; expected a list, between 1 and 3 entries"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [127.0.0.1]\n"),
     "f.yaml:3:10: listen[0]: is a single value; expected a mapping of keys and values"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{address: 1.1.1.1}, {address: 1.1.1.2}, {address: 1.1.1.3}, {address: 1.1.1.4}]\n"),
     "f.yaml:3:9: listen: has 4 entries; expected a list, between 1 and 3 entries"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{address: localhost}]\n"),
     "f.yaml:3:20: listen[0].address: \"localhost\" is not an address; expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{address: 127.0.0.1:66000}]\n"),
     "f.yaml:3:20: listen[0].address: \"127.0.0.1:66000\" is not an address; expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{address: \"unix:relative.sock\"}]\n"),
     "f.yaml:3:20: listen[0].address: \"unix:relative.sock\" is not an address; expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{conns_max: 5}]\n"),
     "f.yaml:3:10: listen[0].address: is missing; expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock"},
    {SLICE_LIT("name: x\ntls: {key: k}\nlisten: [{address: 127.0.0.1, conns_max: 0}]\n"),
     "f.yaml:3:42: listen[0].conns_max: \"0\" is too small; expected a whole number, between 1 and 100000"},
    {SLICE_LIT(SAMPLE_LEAST "backup: {}\n"),
     "f.yaml:6:9: backup.key: is missing; expected a path"},
    {SLICE_LIT(SAMPLE_LEAST "backup:\n  chain: c\n"),
     "f.yaml:7:3: backup.key: is missing; expected a path"},
    {SLICE_LIT(SAMPLE_LEAST "tenants: [a]\n"),
     "f.yaml:6:10: tenants: is a list; expected a mapping of names, at most 4 entries"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: hello\n"),
     "f.yaml:7:9: tenants.acme: is a single value; expected a mapping of keys and values"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {}\n"),
     "f.yaml:7:9: tenants.acme.title: is missing; expected text, between 2 and 20 bytes"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: x}\n"),
     "f.yaml:7:17: tenants.acme.title: is too short; expected text, between 2 and 20 bytes"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: \"123456789012345678901\"}\n"),
     "f.yaml:7:17: tenants.acme.title: is too long; expected text, between 2 and 20 bytes"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  \"\": {title: one}\n"),
     "f.yaml:7:3: tenants.\"\": is not a usable name; expected 1 to 64 bytes"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  a.b: {title: 1}\n"),
     "f.yaml:7:16: tenants.\"a.b\".title: is too short; expected text, between 2 and 20 bytes"},
    {SLICE_LIT(SAMPLE_LEAST "tenants: {a: {title: aa}, b: {title: bb}, c: {title: cc}, d: {title: dd}, e: {title: ee}}\n"),
     "f.yaml:6:10: tenants: has 5 entries; expected a mapping of names, at most 4 entries"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: one, suffixes: []}\n"),
     "f.yaml:7:32: tenants.acme.suffixes: has 0 entries; expected a list, at least 1 entry"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: one, suffixes: [a, [b]]}\n"),
     "f.yaml:7:36: tenants.acme.suffixes[1]: is a list; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: one, rate: 1}\n"),
     "f.yaml:7:28: tenants.acme.rate: \"1\" is too large; expected a whole number, between -10 and 0"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  acme: {title: one, rate: -11}\n"),
     "f.yaml:7:28: tenants.acme.rate: \"-11\" is too small; expected a whole number, between -10 and 0"},
    {SLICE_LIT(SAMPLE_LEAST "? [a]\n: 1\n"),
     "f.yaml:6:3: \"[]\": a key is a mapping or list; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "resolvers: [127.0.0.1, dns.corp]\n"),
     "f.yaml:6:24: resolvers[1]: \"dns.corp\" is not an address; expected an address such as 127.0.0.1:8080, [::1]:8080 or unix:/run/x.sock"},
    {SLICE_LIT(SAMPLE_LEAST "allowed: [10.0.0.0/8, 10.0.0.1/8]\n"),
     "f.yaml:6:23: allowed[1]: \"10.0.0.1/8\" is not an address range; expected an address range such as 10.0.0.0/8 or fd00::/8"},
    {SLICE_LIT(SAMPLE_LEAST "allowed: [300.0.0.0/8]\n"),
     "f.yaml:6:11: allowed[0]: \"300.0.0.0/8\" is not an address range; expected an address range such as 10.0.0.0/8 or fd00::/8"},
    {SLICE_LIT(SAMPLE_LEAST "weights: [1, 2, x]\n"),
     "f.yaml:6:17: weights[2]: \"x\" is not a whole number; expected a whole number"},
    {SLICE_LIT(SAMPLE_LEAST "note: &n hello\n"),
     "f.yaml:6:7: note: has the anchor \"n\"; expected a value without one: anchors are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "note: &n hello\nworkers: *n\n"),
     "f.yaml:6:7: note: has the anchor \"n\"; expected a value without one: anchors are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "workers: *n\n"),
     "f.yaml:6:10: workers: is the alias of \"n\"; expected the value itself: aliases are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "note: !!str 5\n"),
     "f.yaml:6:7: note: has the tag \"tag:yaml.org,2002:str\"; expected a value without one: tags are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "note: !secret x\n"),
     "f.yaml:6:7: note: has the tag \"!secret\"; expected a value without one: tags are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "note: ! x\n"),
     "f.yaml:6:7: note: has the tag \"!\"; expected a value without one: tags are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "tenants: &t\n  a: {title: aa}\n"),
     "f.yaml:6:10: tenants: has the anchor \"t\"; expected a value without one: anchors are not used here"},
    {SLICE_LIT(SAMPLE_LEAST "tenants:\n  a:\n    <<: {title: aa}\n"),
     "f.yaml:8:5: tenants.a.\"<<\": is not a known key; expected one of title, suffixes, rate"},
    {SLICE_LIT(SAMPLE_LEAST "---\nname: y\n"),
     "f.yaml:6:1: a second YAML document begins; expected one"},
    {SLICE_LIT(SAMPLE_LEAST "...\nname: y\n"),
     "f.yaml:7:1: not valid YAML: did not find expected <document start>; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT("%YAML 1.1\n---\nname: x\n"),
     "f.yaml:1:1: a YAML directive; expected none"},
    {SLICE_LIT("%TAG ! tag:x,2000:\n---\nname: x\n"),
     "f.yaml:1:1: a YAML directive; expected none"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 1\n\tlevel: info\n"),
     "f.yaml:7:1: workers: not valid YAML: found a tab character that violates indentation while scanning a plain scalar that began on line 6; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "\tworkers: 1\n"),
     "f.yaml:6:1: listen[0].address: not valid YAML: found a tab character that violates indentation while scanning a plain scalar that began on line 5; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "workers: 1: 2\n"),
     "f.yaml:6:11: not valid YAML: mapping values are not allowed in this context; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "note: \"open\n"),
     "f.yaml:7:1: note: not valid YAML: found unexpected end of stream while scanning a quoted scalar that began on line 6; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "weights: [1, 2\n"),
     "f.yaml:7:1: weights: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that began on line 6; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "tenants: {a: {title: aa}\n"),
     "f.yaml:7:1: tenants: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping that began on line 6; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "note: @x\n"),
     "f.yaml:6:7: note: a tab or a reserved character; expected spaces for indentation, and quotes around such a value"},
    {SLICE_LIT(SAMPLE_LEAST "note: `x`\n"),
     "f.yaml:6:7: note: a tab or a reserved character; expected spaces for indentation, and quotes around such a value"},
    {SLICE_LIT(SAMPLE_LEAST "  workers: 1\n"),
     "f.yaml:6:3: listen: not valid YAML: did not find expected '-' indicator while parsing a block collection that began on line 5; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "workers 1\n"),
     "f.yaml:7:1: listen[0]: not valid YAML: could not find expected ':' while scanning a simple key that began on line 6; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "note: {a: b}}\n"),
     "f.yaml:6:13: not valid YAML: did not find expected key while parsing a block mapping that began on line 1; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "note: \"\\q\"\n"),
     "f.yaml:6:8: note: not valid YAML: found unknown escape character; expected \"key: value\" lines, indented with spaces"},
    {SLICE_LIT(SAMPLE_LEAST "note: \001\n"),
     "f.yaml:6:7: a byte that YAML does not allow (control characters are not allowed); expected UTF-8 text"},
    {SLICE_LIT("name: x\ntls:\n  key: k.pem\nlisten:\n  - address: 127.0.0.1\nnote: \377\376\n"),
     "f.yaml:6:7: a byte that YAML does not allow (invalid leading UTF-8 octet); expected UTF-8 text"},
    {SLICE_LIT("name: x\ntls:\n  key: k.pem\nlisten:\n  - address: 127.0.0.1\nnote: \303\n"),
     "f.yaml:6:8: a byte that YAML does not allow (invalid trailing UTF-8 octet); expected UTF-8 text"},
    {SLICE_LIT("name: x\ntls:\n  key: k.pem\nlisten:\n  - address: 127.0.0.1\nnote: a\000b\n"),
     "f.yaml:6:8: a byte that YAML does not allow (control characters are not allowed); expected UTF-8 text"},
    {SLICE_LIT("\377\376n\000a\000"),
     "f.yaml:1:1: a byte that YAML does not allow (invalid leading UTF-8 octet); expected UTF-8 text"},
    {SLICE_LIT(SAMPLE_LEAST "note: [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n"),
     "f.yaml:6:22: note[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: is nested too deep; expected at most 16 levels"},
    {SLICE_LIT(SAMPLE_LEAST "note: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n"),
     "f.yaml:6:7: note: is a list; expected text"},
    {SLICE_LIT(SAMPLE_LEAST "workers: \"a\\\"b\\\\c\\td\\u00e9 and then a rather long tail of text\"\n"),
     "f.yaml:6:10: workers: \"a\\\"b\\\\c\\x09d\303\251 and then a rather long tai...\" stands in quotes; expected a whole number, between 1 and 64"},
};
// clang-format on

static struct err sample_parse(struct sample *out, struct arena *a, struct slice text, char *error)
{
    return config_parse(out, sizeof *out, sample_rows, a, text, "f.yaml", "/etc/x", error);
}

static void names_the_place_and_what_was_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char error[CONFIG_ERROR_MAX];
        struct arena a;
        struct sample s = {.workers = -1};
        arena_init(&a, 1 << 20);
        struct err err = sample_parse(&s, &a, bad[i].text, error);
        if (!err_is(err, ERR_BAD_CONFIG))
            print_error("case %zu was not refused: %s\n", i, bad[i].message);
        assert_err(err, ERR_BAD_CONFIG);
        assert_string_equal(error, bad[i].message);
        assert_non_null(strstr(error, "expected"));
        assert_int_equal(s.workers, -1); // outputs are written on success only
        arena_fini(&a);
    }
}

static void refuses_a_large_text(void **state)
{
    (void)state;
    static uint8_t text[CONFIG_SIZE_MAX + 1];
    char error[CONFIG_ERROR_MAX];
    struct arena a;
    struct sample s;
    arena_init(&a, 1 << 20);
    memset(text, '#', sizeof text);
    assert_err(sample_parse(&s, &a, slice_of(text, sizeof text), error), ERR_BAD_CONFIG);
    assert_string_equal(error, "f.yaml:1:1: has more than 1048576 bytes; expected a smaller file");
    assert_err(sample_parse(&s, &a, slice_of(text, sizeof text - 1), error), ERR_BAD_CONFIG);
    assert_string_equal(error, "f.yaml:1:1: name: is missing; expected text");
    arena_fini(&a);
}

// Every ceiling below what the text needs is an error, never a crash or half a configuration.
static void bounds_its_memory(void **state)
{
    (void)state;
    struct slice text = SLICE_LIT(SAMPLE_LEAST "tenants:\n  a: {title: one}\n");
    size_t good = 0;
    for (size_t ceiling = 0; ceiling < 16384; ceiling += 16) {
        char error[CONFIG_ERROR_MAX];
        struct arena a;
        struct sample s = {.workers = -1};
        arena_init(&a, ceiling);
        struct err err = sample_parse(&s, &a, text, error);
        if (failed(err)) {
            assert_err(err, ERR_NO_SPACE);
            assert_string_equal(
                error, "f.yaml: needs more memory than there is for it; expected a smaller file");
            assert_int_equal(s.workers, -1);
            assert_int_equal(good, 0);
        } else {
            good++;
        }
        arena_fini(&a);
    }
    assert_true(good > 0);
}

static void says_which_file_cannot_be_read(void **state)
{
    (void)state;
    char error[CONFIG_ERROR_MAX];
    struct arena a;
    struct sample s;
    arena_init(&a, 1 << 20);
    assert_err(config_load(&s, sizeof s, sample_rows, &a, "/tmp", error), ERR_BAD_CONFIG);
    assert_string_equal(error,
                        "/tmp: cannot be read: it is a folder; expected a readable YAML file");
    assert_err(config_load(&s, sizeof s, sample_rows, &a, "/nowhere/at/all.yaml", error),
               ERR_BAD_CONFIG);
    assert_string_equal(error, "/nowhere/at/all.yaml: cannot be read: No such file or directory; "
                               "expected a readable YAML file");
    assert_err(config_load(&s, sizeof s, sample_rows, &a, "/proc/nothing.yaml", error),
               ERR_BAD_CONFIG);
    assert_string_equal(error, "/proc/nothing.yaml: cannot be read: No such file or directory; "
                               "expected a readable YAML file");
    arena_fini(&a);
}

int main(void)
{
    cluster_err_register();
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_place_and_what_was_expected),
        cmocka_unit_test(refuses_a_large_text),
        cmocka_unit_test(bounds_its_memory),
        cmocka_unit_test(says_which_file_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
