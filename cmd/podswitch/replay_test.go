package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/replay")

const replayData = "../../testdata/replay"

// TestReplayGolden runs the command in the first line of each text file and compares its output with the rest of the file. To add a
// test, add a capture and a text file with that line, run the test with -update, and review the file.
func TestReplayGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(replayData, "*.txt"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d texts in %s: %v", len(files), replayData, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			command, want, _ := strings.Cut(string(text), "\n")
			args := strings.Fields(strings.TrimPrefix(command, "$ podswitch "))
			args[len(args)-1] = filepath.Join(replayData, args[len(args)-1])
			stdout, stderr, code := do(t, "", args...)
			if code != exitOK || stderr != "" {
				t.Fatalf("exit code %d, stderr %q", code, stderr)
			}
			if *update {
				if err := os.WriteFile(file, []byte(command+"\n"+stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if stdout != want {
				t.Errorf("%s\nprints\n%s\nwant\n%s", command, stdout, want)
			}
		})
	}
}

// TestReplayUsage checks exit code and message for invalid command lines and captures.
func TestReplayUsage(t *testing.T) {
	sample := filepath.Join(replayData, "tcpdump-ping-dhcp.pcap")
	whole, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(cut, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, message string
	}{
		{"", "FILE is missing"},
		{"/nonexistent", "/nonexistent"},
		{sample, "--plan FILE, --address CIDR or --bridge"},
		{"--bridge --address 10.0.0.1/24 " + sample, "want one of them"},
		{"--gateway 10.0.0.1 " + sample, "--gateway needs --address"},
		{"--holder switch " + sample, "--holder needs --plan"},
		{"--holder nobody --bridge " + sample, "guest, switch or kernel"},
		{"--in tap0 --bridge " + sample, "guest, uplink, pod or server"},
		{"--in pod --bridge " + sample, `port "pod"`},
		{"--address fd00::1 " + sample, "want an address with its prefix length"},
		{"--address ::ffff:10.0.0.1/128 " + sample, "want an address with its prefix length"},
		{"--address 10.0.0.1/24 --address 10.0.0.2/24 " + sample, "--address 10.0.0.2/24: want one IPv4 and one IPv6 address"},
		{"--address 10.0.0.1/24 --gateway fe80::1 " + sample, "--gateway fe80::1: want one of the family of --address"},
		{"--address fd00::1/64 --gateway fe80::1 --gateway fe80::2 " + sample, "--gateway fe80::2: want one IPv4 and one IPv6 gateway"},
		{"--address fd00::1/64 --gateway fe80::1%eth0 " + sample, "want an IP address"},
		{"--address fd00::1/64 --mtu 1279 " + sample, "want 1280 or more with an IPv6 address"},
		{"--address fd00::1/64 --route ::/0,10.0.0.1 " + sample, "CIDR,GATEWAY of one family"},
		{"--address 10.0.0.1/24 --mtu 20 " + sample, "want 68 to 65535"},
		{"--address 10.0.0.1/24 --route 10.0.0.0 " + sample, "CIDR,GATEWAY"},
		{"--address 10.0.0.1/24 --neighbour 10.0.0.2 " + sample, "want IP,MAC"},
		{"--plan " + sample + " " + sample, "podswitch plan -o json"},
		{"--plan ../../testdata/nothing " + sample, "testdata/nothing"},
		{"--bridge replay_test.go", "want a pcapng or pcap file"},
	} {
		stdout, stderr, code := do(t, "", append([]string{"replay"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(stderr, c.message) || stdout != "" {
			t.Errorf("replay %s: exit code %d, stderr %q, stdout %q; want 2 and %q", c.args, code, stderr, stdout, c.message)
		}
	}
	stdout, stderr, code := do(t, "", "replay", "--bridge", cut)
	if code != exitUsage || !strings.Contains(stderr, "after frame 8: the file is truncated") || !strings.Contains(stdout, "8 frames:") {
		t.Errorf("a file that is cut off: exit code %d, stderr %q, stdout %q; want 2, the place, and the 8 frames", code, stderr, stdout)
	}
}

// TestReplayPlanIPv6 checks that the plan of an IPv6-only pod yields a switch that advertises its router.
func TestReplayPlanIPv6(t *testing.T) {
	const text = `{"method": "bridge.delegateIp", "router_mac": "02:ab:de:dc:e8:87", "address_ipv6": "fd00:10:244:1::7/128", "guest_mtu": 1450,
		"offer_ipv6": {"address": "fd00:10:244:1::7", "router_mac": "02:ab:de:dc:e8:87", "routes": ["::/0"], "mtu": 1400, "lease_seconds": 86400},
		"identity": {"link": {"name": "eth0", "index": 2, "mac": "0a:58:0a:f4:01:07", "mtu": 1450, "ethernet": true},
		"addresses": [{"prefix": "fd00:10:244:1::7/128"}],
		"routes": [{"dst": "::/0", "table": 254, "type": 1, "link": 2, "gateway": "fe80::1", "metrics": {"mtu": 1400}}],
		"neighbours": [{"address": "fe80::1", "mac": "0a:58:0a:f4:01:01", "state": 128}]}}`
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := do(t, "", "replay", "--plan", file, "--guest-mac", "52:54:00:12:34:56", filepath.Join(replayData, "tcpdump-ipv6.pcap"))
	for _, want := range []string{
		"-> guest: 02:ab:de:dc:e8:87 > 52:54:00:12:34:56  fe80::ab:deff:fedc:e887 > fe80::5054:ff:fe12:3456 icmp6 router advertisement",
		"fd00:10:244:1::99 icmp6 echo request  118 bytes  -> uplink as 0a:58:0a:f4:01:07 > 0a:58:0a:f4:01:01",
	} {
		if !strings.Contains(stdout, want) || code != exitOK {
			t.Errorf("exit code %d, stderr %q, want %q in\n%s", code, stderr, want, stdout)
		}
	}
}

// TestReplayPlan checks that the output of plan yields the configuration of run, and that replay reads standard input.
func TestReplayPlan(t *testing.T) {
	const text = `{"method": "bridge.delegateIp", "guest_mac": "52:54:00:12:34:56", "router_mac": "02:ab:de:dc:e8:87", "address": "10.244.1.7/24",
		"server": "169.254.75.10", "keep": [{"port": 8080, "target": "127.0.0.1:8080"}], "rules": [{"destination": "10.96.0.10/32"}],
		"offer": {"address": "10.244.1.7/24", "server": "169.254.75.10", "gateway": "10.244.1.1", "mtu": 1400, "lease_seconds": 86400}, "identity": {"link": {"name": "eth0", "index": 2, "mac": "0a:58:0a:f4:01:07",
		"mtu": 1450, "ethernet": true}, "addresses": [{"prefix": "10.244.1.7/24"}],
		"routes": [{"dst": "0.0.0.0/0", "table": 254, "type": 1, "link": 2, "gateway": "10.244.1.1", "metric": 5, "metrics": {"mtu": 1400}},
		{"dst": "10.9.0.0/16", "table": 254, "type": 1, "link": 3}],
		"neighbours": [{"address": "10.244.1.1", "mac": "0a:58:0a:f4:01:01", "state": 128}, {"address": "10.244.1.2", "mac": "0a:58:0a:f4:01:02", "state": 2}]}}`
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readPlan(file)
	if err != nil {
		t.Fatal(err)
	}
	d := s.Delegate
	if len(d.Routes) != 1 || d.Routes[0].MTU != 1400 || d.Routes[0].Metric != 5 || d.Routes[0].Gateway.String() != "10.244.1.1" ||
		len(d.Permanent) != 1 || d.MTU != 1450 || d.GuestMTU != 1400 || len(d.KeptTCP) != 1 || len(d.Rules) != 1 ||
		d.PinnedMAC.String() != "52:54:00:12:34:56" || d.WireMAC.String() != "0a:58:0a:f4:01:07" || d.Server.String() != "169.254.75.10" {
		t.Errorf("have %+v", d)
	}
	capture, err := os.ReadFile(filepath.Join(replayData, "tcpdump-ping-dhcp.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := do(t, string(capture), "replay", "--plan", file, "-")
	if code != exitOK || stderr != "" || !strings.Contains(stdout, "denied=2") || !strings.Contains(stdout, "9 frames: 6 sent, 2 dropped, 0 held, 1 noted") {
		t.Errorf("exit code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
}
