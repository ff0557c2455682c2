package vswitch_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/vswitch"
)

// An unknown or misplaced word is an error with file and line.
func TestScriptErrors(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{"bridge a b\n+0 tick", "s.txt:1: the first line must be a comment"},
		{"# Nothing.\nbridge a b", "s.txt: no steps"},
		{"# .\nswitch a b", `s.txt:2: unknown word "switch", want bridge or delegate first`},
		{"# .\n+0 a < raw -", `s.txt:2: a step before the line "bridge" or "delegate"`},
		{"# .\nbridge a b\nageing never", `s.txt:3: time "never"`},
		{"# .\nbridge a b\ncolour red", `s.txt:3: unknown word "colour"`},
		{"# .\nbridge a b\nlimit many", `s.txt:3: limit "many", want a number from 0 to`},
		{"# .\nbridge a b\nlimit 5 6", `s.txt:3: unknown word "6"`},
		{"# .\nbridge a b\nupstream c", `s.txt:3: unknown port "c", want one of a b`},
		{"# .\nbridge a b\n+0 tick\nageing 5s", `s.txt:4: "ageing" behind the first step`},
		{"# .\nbridge a b\n+soon tick", `s.txt:3: time "soon"`},
		{"# .\nbridge a b\n+0 c < raw -", `s.txt:3: unknown port "c"`},
		{"# .\nbridge a b\n+0 a = raw -", `s.txt:3: "=", want "<"`},
		{"# .\nbridge a b\n+0 a", `s.txt:3: < is missing at the end of the line`},
		{"# .\nbridge a b\n+0 a < xyz raw -", `s.txt:3: a count "yz"`},
		{"# .\nbridge a b\n+0 a < raw 012", `s.txt:3: a frame "012", want hexadecimal`},
		{"# .\nbridge a b\n+0 a < 02:..:01 02:..:02 ipv6", `s.txt:3: "02:..:02", want ">"`},
		{"# .\nbridge a b\n+0 a < bob > 02:..:02 ipv6", `s.txt:3: "bob" is no MAC`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ipv7", `s.txt:3: unknown word "ipv7"`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 type 65536", `s.txt:3: an ethertype "65536"`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ipv6 gso tcp5 1", `s.txt:3: unknown kind of gso`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 arp whois 1.2.3.4", `s.txt:3: unknown word "whois"`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ip 1.2.3 > 1.2.3.4 icmp echo", `s.txt:3: "1.2.3" is no IPv4 address`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ip ::1 > 1.2.3.4 icmp echo", `s.txt:3: "::1" is no IPv4 address`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ip 1.2.3.5 > 1.2.3.4 sctp", `s.txt:3: unknown word "sctp"`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ip 1.2.3.5 > 1.2.3.4 icmp ping", `s.txt:3: unknown word "ping"`},
		{"# .\nbridge a b\n+0 a < 02:..:01 > 02:..:02 ip 1.2.3.5 > 1.2.3.4 udp 1 > 2 dat 5", `s.txt:3: unknown word "dat"`},
		{"# .\nbridge a b\n+0 a > 02:..:01 > 02:..:02 ipv6", `s.txt:3: nothing happens at this time`},
		{"# .\nbridge a b\n+0 tick\n+1s a drop short", `s.txt:4: nothing happens at this time`},
		{"# .\nbridge a b\n+0 tick\n+0 a drop shot", `s.txt:4: unknown reason "shot"`},
		{"# .\nbridge a b\n+0 hand guest", `s.txt:3: "hand" is for delegate scripts`},
		{"# .\ndelegate\n+0 forget wire", `s.txt:3: "forget" is for bridge scripts`},
		{"# .\ndelegate\n+0 hand nobody", `s.txt:3: unknown holder "nobody"`},
		{"# .\ndelegate\nroute 10.0.0.0", `s.txt:3: "10.0.0.0" is no prefix`},
		{"# .\ndelegate\ncolour red", `s.txt:3: unknown word "colour"`},
	} {
		err := runScript("s.txt", test.script)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s...", test.script, err, test.want)
		}
	}
}

// A script fails if the outcome differs, and the error shows both outcomes.
func TestScriptMismatches(t *testing.T) {
	head := "# .\nbridge a b c\n+0 a < 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo\n"
	b, c := "+0 b > 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo\n", "+0 c > 02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 icmp echo\n"
	frame := "> 02:00:00:00:00:01 > 02:00:00:00:00:02 ip 10.0.0.1 > 10.0.0.2 icmp echo\n"
	for name, test := range map[string]struct{ script, want string }{
		"nothing wrong":   {head + b + c, ""},
		"order of ports":  {head + c + b, ""},
		"too much":        {head + c, "  + got   b " + frame + "    ok    c " + frame},
		"too little":      {head + b + b + c, "    ok    b " + frame + "  - want  b " + frame + "    ok    c " + frame},
		"another frame":   {head + strings.Replace(b, "echo", "echo-reply", 1) + c, "  - want  b " + strings.Replace(frame, "echo", "echo-reply", 1) + "  + got   b " + frame},
		"another offload": {head + strings.Replace(b, "echo", "echo valid", 1) + c, "  - want  b " + strings.Replace(frame, "echo", "echo valid", 1)},
		"no drop":         {head + b + c + "+0 a drop short\n", "  - want  a drop short"},
		"a drop":          {"# .\nbridge a b\n+0 a < raw -\n", "  + got   a drop short"},
		"drops, another":  {"# .\nbridge a b\n+0 a < raw -\n+0 a drop vlan\n", "  - want  a drop vlan\n  + got   a drop short"},
		"stations":        {head + b + c + "+0 stations b=02:00:00:00:00:01\n", "  have a=02:00:00:00:00:01\n  want b=02:00:00:00:00:01"},
		"static":          {"# .\nbridge a b\n+0 static a 02:..:01 refused\n", "SetStatic = true"},
		"use":             {"# .\ndelegate\n+0 tick\n+0 used\n", "  - want  used"},
		"last-use":        {"# .\ndelegate\n+0 last-use guest 5s\n", "  have 0s\n  want 5s"},
	} {
		err := runScript("s.txt", test.script)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error()+"\n", test.want) {
			t.Errorf("%s:\n got %v\nwant %s", name, err, test.want)
		}
	}
}

// The output of a failure can be copied into a script and yields the same bytes.
func TestDescribe(t *testing.T) {
	names := map[string]vswitch.MAC{"guest": {2, 0, 0, 0, 0, 1}, "gw": {2, 0, 0, 0, 0, 2}}
	for _, line := range []string{
		"raw 0102",
		"guest > gw type 0x86dd",
		"guest > gw type 0x1234 payload 0102",
		"guest > gw type 0x1234 len 60",
		"guest > gw vlan 5 type 0x86dd",
		"guest > gw qinq 6 vlan 5 ip 10.0.0.1 > 10.0.0.2 icmp echo data 5",
		"guest > gw arp who-has 10.0.0.2 tell 10.0.0.1",
		"guest > gw arp who-has 10.0.0.2 tell 10.0.0.1 sha gw tha guest len 60",
		"guest > gw arp reply 10.0.0.1 is-at guest tell 10.0.0.2",
		"guest > gw arp reply 10.0.0.1 is-at guest tell 10.0.0.2 tha guest",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 tos 1 id 2 ttl 3 df options 94040000 udp 1 > 2 data 3 from 7",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 more udp 1 > 2 ulen 900 data 80 sum 9",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 offset 80 proto 17 payload 090102",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 tcp 1 > 2 syn ack cwr seq 9 mss 1460",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 tcp 1 > 2 tcpopt 01010204 data 9000 gso tcp4 1000 ecn valid",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 udp 1 > 2 data 90 csum",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 icmp frag-needed mtu 1400 payload 4500",
		"guest > gw ip 10.0.0.1 > 10.0.0.2 icmp type 13 code 1",
	} {
		w := newWords(line, names)
		f := w.frame()
		if err := w.end(); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := describe(f, names); got != line {
			t.Errorf("described as\n     %s\nwant %s", got, line)
		}
	}
	lie := newWords("guest > gw ip 10.0.0.1 > 10.0.0.2 ihl 15 udp 1 > 2", names)
	f := lie.frame()
	got := describe(f, names)
	w := newWords(strings.Join(strings.Fields(got)[:2], " "), names)
	if again := w.frame(); w.end() != nil || !bytes.Equal(again.Data, f.Data) {
		t.Errorf("a malformed frame is described as %s", got)
	}
}

// The bytes of frames in the notation of scripts. The IPv4 header is a common example for the checksum.
func TestShorthandBytes(t *testing.T) {
	for line, want := range map[string]string{
		"02:..:01 > ff:ff:ff:ff:ff:ff arp who-has 10.0.0.2 tell 10.0.0.1": "raw ffffffffffff0200000000010806" +
			"00010800060400010200000000010a0000010000000000000a000002",
		"02:..:01 > 02:..:02 ip 192.168.0.1 > 192.168.0.199 df total 115 proto 17": "raw 0200000000020200000000010800" +
			"45000073000040004011b861c0a80001c0a800c7",
	} {
		if got, raw := shorthand(t, line), shorthand(t, want); !bytes.Equal(got.Data, raw.Data) {
			t.Errorf("%s\n got %x\nwant %x", line, got.Data, raw.Data)
		}
	}
}
