package vswitch_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// A refusal is an invalid state with a part of the error.
type refusal struct{ kind, state, want string }

// refusals returns all refusals.
func refusals(t testing.TB) []refusal {
	return slices.Concat(refusedBridges(), refusedUses(), refusedNeighbours(), refusedQuestions(t), refusedIPv6(t))
}

// manyHosts returns the address of host number i.
func manyHosts(i int) string { return fmt.Sprintf("10.244.%d.%d", 16+i/250, 1+i%250) }

// refusedBridges returns states of a bridge with three ports, and of counters.
func refusedBridges() []refusal {
	return []refusal{
		{"bridge", `{"stations":[{"mac":"02:00:00:00:00:02","port":0},{"mac":"02:00:00:00:00:02","port":1}]}`,
			"stations[1]: duplicate 02:00:00:00:00:02"},
		{"bridge", `{"stations":[{"mac":"02:00:00:00:00:02","port":3}]}`, "stations[0]: port 3: want at least 0, and less than 3"},
		{"bridge", `{"stations":[{"mac":"02:00:00:00:00:02","port":-1}]}`, "port -1"},
		{"bridge", `{"stations":[{"mac":"03:00:00:00:00:02","port":0}]}`, `mac "03:00:00:00:00:02": want the address of one station`},
		{"bridge", `{"stations":[{"mac":"","port":0}]}`, "want the address of one station"},
		{"bridge", `{"stations":[{"mac":"02:00:00:00:00:02","port":0,"age_ns":-1}]}`, "age_ns -1: want at least 0"},
		{"bridge", fmt.Sprintf(`{"stations":[{"mac":"02:00:00:00:00:02","port":0,"age_ns":%d}]}`, int64(math.MaxInt64)), "and at most"},
		{"bridge", `{"stations":[{"mac":"02:00:00:00:00:02","port":2}]}`, "want 02:00:00:00:00:01 at port 2"},
		{"bridge", `{"stations":[` + list(5, func(i int) string { return fmt.Sprintf(`{"mac":"02:00:00:00:01:%02x","port":0}`, i) }) + `]}`,
			"stations: 5, want at most 4"},
		{"bridge", `{"next_sweep_ns":1000000001}`, "next_sweep_ns 1000000001: want at least 0, and at most 1000000000"},
		{"bridge", `{"next_sweep_ns":-1}`, "next_sweep_ns -1"},
		{"counters", `{"drops":{"bad-luck":1}}`, `unknown reason "bad-luck"`},
		{"counters", `{"drops":{"short":18446744073709551615}}`, "drops.short 18446744073709551615: want at most"},
		{"counters", `{"rx_frames":7,"tx_bytes":18446744073709551615}`, "tx_bytes 18446744073709551615: want at most"},
	}
}

// refusedUses returns states with an invalid holder or guest.
func refusedUses() []refusal {
	return []refusal{
		{"delegate", `{}`, `holder "": want kernel, switch or guest`},
		{"delegate", `{"holder":"me"}`, `holder "me": want kernel, switch or guest`},
		{"delegate", `{"holder":"guest","guest_mac":"ff:ff:ff:ff:ff:ff"}`, `guest_mac "ff:ff:ff:ff:ff:ff"`},
		{"pinned", `{"holder":"guest","guest_mac":"02:00:00:00:00:02"}`, "want 02:00:00:00:00:01, the only one"},
		{"delegate", `{"holder":"guest","last_use_age_ns":5}`, "last_use_age_ns 5: want none"},
		{"delegate", `{"holder":"guest","guest_mac":"02:00:00:00:00:02","last_use_age_ns":-1}`, "last_use_age_ns -1: want at least 0"},
	}
}

// refusedNeighbours returns states with invalid neighbours.
func refusedNeighbours() []refusal {
	return []refusal{
		{"delegate", `{"holder":"guest","neighbours":[{"address":"fe80::1","mac":"02:00:00:00:00:02"}]}`,
			`neighbours[0]: address "fe80::1": want the IPv4 address`},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"","mac":"02:00:00:00:00:02"}]}`, "want the IPv4 address"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.7","mac":"02:00:00:00:00:02"}]}`, "of another host"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"127.0.0.1","mac":"02:00:00:00:00:02"}]}`, "of another host"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"224.0.0.1","mac":"02:00:00:00:00:02"}]}`, "of another host"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"03:00:00:00:00:02"}]}`, "want the address of one station"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:02","age_ns":-5}]}`,
			"neighbours[0]: age_ns -5"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:02","age_ns":5,"last_probe_age_ns":5}]}`,
			"neighbours[0]: last_probe_age_ns 5: want at least 0, and less than age_ns 5"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:02","age_ns":5,"last_probe_age_ns":-1}]}`,
			"neighbours[0]: last_probe_age_ns -1"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.2","mac":"02:00:00:00:00:02"}]}`, "is a permanent neighbour"},
		{"delegate", `{"holder":"guest","neighbours":[{"address":"10.244.1.9","mac":"02:00:00:00:00:02"},{"address":"10.244.1.9","mac":"02:00:00:00:00:02"}]}`,
			"duplicate 10.244.1.9"},
		{"delegate", `{"holder":"guest","neighbours":[` + list(1024, func(i int) string { return fmt.Sprintf(`{"address":%q,"mac":"02:00:00:00:00:02"}`, manyHosts(i)) }) + `]}`,
			"1025 with the permanent ones, want at most 1024"},
		{"delegate", `{"holder":"guest","next_sweep_ns":-1}`, "next_sweep_ns -1"},
	}
}

// refusedIPv6 returns states with an invalid part for IPv6.
func refusedIPv6(t testing.TB) (list []refusal) {
	frame := func(line string) string {
		return `"questions":[{"address":"fd00:10:244:1::9","frames":[` + held(t, 0, line) + `]}]`
	}
	list = []refusal{
		{"ipv6", `{"holder":"guest"}`, "ipv6: want it if the pod has an IPv6 address, and only then"},
		{"delegate", `{"holder":"guest","ipv6":{"holder":"guest"}}`, "ipv6: want it if the pod has an IPv6 address, and only then"},
	}
	for part, want := range map[string]string{
		`"holder":"nobody"`: "holder",
		`"holder":"guest","neighbours":[{"address":"10.0.0.1","mac":"02:00:00:00:00:02"}]`:                    "want the IPv6 address of another host",
		`"holder":"guest","neighbours":[{"address":"::1","mac":"02:00:00:00:00:02"}]`:                         "want the IPv6 address of another host",
		`"holder":"guest","neighbours":[{"address":"ff02::1","mac":"02:00:00:00:00:02"}]`:                     "want the IPv6 address of another host",
		`"holder":"guest","neighbours":[{"address":"fd00:10:244:1::7","mac":"02:00:00:00:00:02"}]`:            "want the IPv6 address of another host",
		`"holder":"guest","neighbours":[{"address":"fd00:10:244:1::2","mac":"02:00:00:00:00:02"}]`:            "is a permanent neighbour",
		`"holder":"guest","neighbours":[{"address":"fd00:10:244:1::2%a","mac":"02:00:00:00:00:02"}]`:          "without a zone",
		`"holder":"guest","questions":[{"address":"fd00:10:244:1::9%a"},{"address":"fd00:10:244:1::9%b"}]`:    "without a zone",
		`"holder":"guest",` + frame("ip 10.244.1.7 > 10.0.0.1 udp 1 > 2"):                                     "want an IPv6 packet",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::7 > 2001:db8::1 frag 0 more proto 58"):                "want an IPv6 packet",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::8 > 2001:db8::1 udp 1 > 2"):                           "want the pod address",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::7 > fe80::1 udp 1 > 2"):                               "want another host",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::7 > ff0e::1 udp 1 > 2"):                               "want another host",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::7 > 2001:db8::1 udp 546 > 547"):                       "DHCP",
		`"holder":"guest",` + frame("ip6 fd00:10:244:1::7 > 2001:db8::1 icmp6 ns fd00:10:244:1::9 link wire"): "neighbour discovery",
	} {
		list = append(list, refusal{"ipv6", `{"holder":"guest","ipv6":{` + part + `}}`, want})
	}
	return list
}

// refusedQuestions returns states with invalid questions or held frames.
func refusedQuestions(t testing.TB) []refusal {
	frame := held(t, 0, "ip 10.244.1.7 > 10.244.1.9 udp 1 > 2")
	big := held(t, 0, "ip 10.244.1.7 > 10.244.1.9 df tcp 1000 > 80 ack data 60000 gso tcp4 1398")
	return []refusal{
		{"no-arp", `{"holder":"guest","questions":[{"address":"10.244.1.9"}]}`, "want none on a link without ARP"},
		{"delegate", `{"holder":"guest","questions":[{"address":"10.244.1.7"}]}`, "of another host"},
		{"delegate", `{"holder":"guest","questions":[{"address":"10.244.1.9"},{"address":"10.244.1.9"}]}`, "duplicate 10.244.1.9"},
		{"delegate", `{"holder":"guest","questions":[{"address":"10.244.1.9","tries":4}]}`, "tries 4: want at least 0, and at most 3"},
		{"delegate", `{"holder":"guest","questions":[{"address":"10.244.1.9","tries":-1}]}`, "tries -1"},
		{"delegate", `{"holder":"guest","questions":[{"address":"10.244.1.9","age_ns":-1}]}`, "age_ns -1"},
		{"delegate", `{"holder":"guest","questions":[` + list(257, func(i int) string { return fmt.Sprintf(`{"address":%q}`, manyHosts(i)) }) + `]}`,
			"questions: 257, want at most 256"},
		{"delegate", question("10.244.1.9", list(4, func(int) string { return big })), "frames of a cost of 242264 bytes, want at most 212992"},
		{"delegate", fmt.Sprintf(`{"holder":"guest","questions":[%s]}`, list(6, func(i int) string {
			return fmt.Sprintf(`{"address":%q,"frames":[%s]}`, manyHosts(i), list(3, func(int) string { return big }))
		})), "bytes wait, want at most 1048576"},
		{"delegate", question("10.244.1.9", held(t, 1, "ip 10.244.1.7 > 10.244.1.9 udp 1 > 2")), "frames[0]: port 1: want 0 or 2"},
		{"delegate", question("10.244.1.9", `{"data":"AAAA"}`), "data of 3 bytes: want at least 14"},
		{"delegate", question("10.244.1.9", strings.Replace(frame, `"data"`, `"offload":{"flags":1,"csum_start":9},"data"`, 1)),
			"want one that fits the frame"},
		{"delegate", question("10.244.1.9", held(t, 0, "ipv6")), "want an IPv4 packet"},
		{"delegate", question("10.244.1.1", held(t, 0, "arp who-has 10.244.1.9 tell 10.244.1.7")), "want an IPv4 packet"},
		{"delegate", question("10.244.1.9", held(t, 0, "ip 10.244.1.8 > 10.244.1.9 udp 1 > 2")),
			"from 10.244.1.8: want the pod address 10.244.1.7"},
		{"delegate", question("10.244.1.9", held(t, 2, "ip 10.244.1.7 > 10.244.1.9 udp 68 > 67")), "DHCP"},
		{"delegate", question("10.244.1.9", held(t, 0, "ip 10.244.1.7 > 10.244.1.255 udp 1 > 2")), "to 10.244.1.255: want another host"},
		{"delegate", question("10.244.1.9", held(t, 0, "ip 10.244.1.7 > 127.0.0.1 udp 1 > 2")), "to 127.0.0.1: want another host"},
	}
}
