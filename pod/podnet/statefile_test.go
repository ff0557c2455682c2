package podnet

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample returns a record with a value in every field.
func sample() *record {
	address := netip.MustParseAddr
	return &record{
		Version: stateVersion,
		Uptime:  5,
		Sysctls: []sysctl{{"arp_ignore", "1"}, {"forwarding", "1"}},
		Pod: &Identity{
			Namespace: Namespace{Device: 4, Inode: 4026531840, Cookie: 7, Boot: "9e5a3a1e"},
			Link:      Link{Name: "eth0", Index: 3, MAC: MAC{2, 0, 0, 0, 0, 1}, MTU: 1450, Up: true, NoARP: true, Ethernet: true, Kind: "veth"},
			TakenMAC:  MAC{2, 0, 0, 0, 0, 3},
			Addresses: []Address{{
				Prefix: netip.MustParsePrefix("10.244.1.7/24"), Peer: address("10.244.1.8"), Broadcast: address("10.244.1.255"),
				Scope: 253, Label: "eth0:a", Flags: 0x280, Metric: 5, Protocol: 3, Valid: Forever, Preferred: 9,
			}},
			Routes: []Route{{
				Dst: netip.MustParsePrefix("0.0.0.0/0"), Table: 1000, Type: 1, Scope: 253, Protocol: 4, TOS: 16, Metric: 6,
				Source: address("10.244.1.7"), Link: 3, Gateway: address("fe80::1"), Flags: 4, Realm: 7,
				Metrics: Metrics{"mtu": 1400, "lock": 4}, Congestion: "reno", BeforeOthers: true,
				NextHops: []NextHop{{Link: 3, Gateway: address("10.244.1.1"), Weight: 256, Flags: 4, Realm: 1}},
			}},
			Neighbours: []Neighbour{{Address: address("10.244.1.1"), MAC: MAC{2, 0, 0, 0, 0, 2}, State: 128, Flags: 1, FlagsExt: 2, Protocol: 3, Proxy: true}},
			HostName:   "pod-1",
			readAt:     5,
			Resolv:     Resolv{NameServers: []netip.Addr{address("10.96.0.10")}, Search: []string{"svc"}},
		},
	}
}

func TestStateFileHoldsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	want := sample()
	if err := writeRecord(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	for path, mode := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, statePath(dir): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want mode %v", path, info.Mode(), err, mode)
		}
	}
	if err := errors.Join(removeRecord(dir), removeRecord(dir)); err != nil {
		t.Errorf("remove twice: %v", err)
	}
	if _, err := readRecord(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read after remove: %v", err)
	}
}

func TestAPartlyWrittenStateFileIsIgnored(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(statePath(dir)+".new", []byte(`{"versi`), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := RestoreLocked(dir); text != "" || err != nil {
		t.Errorf("RestoreLocked = %q, %v, want nothing", text, err)
	}
	if err := writeRecord(dir, sample()); err != nil {
		t.Errorf("write again: %v", err)
	}
}

// badStates returns invalid state files by name, each with a word of the expected error.
func badStates() map[string][2]string {
	good, _ := json.Marshal(sample())
	change := func(old, replacement string) string {
		if !strings.Contains(string(good), old) {
			return "the sample has no " + old
		}
		return strings.Replace(string(good), old, replacement, 1)
	}
	return map[string][2]string{
		"empty":                 {"", "EOF"},
		"cut":                   {string(good[:len(good)/2]), "EOF"},
		"null":                  {"null", "version"},
		"data after the object": {string(good) + "{}", "follows"},
		"a later version":       {change(`"version":1`, `"version":2`), "version"},
		"no pod":                {`{"version":1}`, "pod"},
		"unknown field":         {change(`"index"`, `"indices"`), "indices"},
		"path as name":          {change(`"eth0"`, `"../../x"`), "pod.link.name"},
		"index of zero":         {change(`"index":3`, `"index":0`), "pod.link.index"},
		"no address":            {change(`"addresses":[{`, `"addresses":[],"routes":[{`), ""},
		"IPv6 address":          {change(`10.244.1.7/24`, `fd00::7/64`), "pod.addresses[0]"},
		"prefix too long":       {change(`10.244.1.7/24`, `10.244.1.7/33`), "33"},
		"IPv6 peer":             {change(`"10.244.1.8"`, `"fd00::8"`), "peer"},
		"long label":            {change(`eth0:a`, `eth0:aaaaaaaaaaa`), "label"},
		"IPv6 destination":      {change(`0.0.0.0/0`, `::/0`), "pod.routes[0]"},
		"unknown metric":        {change(`"mtu":1400`, `"mtv":1400`), "mtv"},
		"weight of zero":        {change(`"weight":256`, `"weight":0`), "nexthops[0]"},
		"bad MAC":               {change(`02:00:00:00:00:01`, `02:00`), "MAC"},
		"long MAC":              {change(`02:00:00:00:00:01`, `02:00:00:00:00:01:00:02`), "6 bytes"},
		"foreign sysctl":        {change(`arp_ignore`, `../../x`), "sysctls[0]"},
		"sysctl of other text":  {change(`"was":"1"`, `"was":"1; x"`), "sysctls[0]"},
		"weight of 257":         {change(`"weight":256`, `"weight":257`), "nexthops[0]"},
		"link below zero":       {change(`"link":3,"gateway":"fe80`, `"link":-3,"gateway":"fe80`), "link"},
		"IPv6 source":           {change(`"source":"10.244.1.7"`, `"source":"fd00::7"`), "source"},
		"IPv6 broadcast":        {change(`10.244.1.255`, `fd00::1`), "broadcast"},
		"no prefix":             {change(`10.244.1.7/24`, ``), "prefix"},
		"no destination":        {change(`0.0.0.0/0`, ``), "dst"},
		"no neighbour address":  {change(`"address":"10.244.1.1"`, `"address":""`), "pod.neighbours[0]"},
	}
}

func TestBadStateFilesAreRefused(t *testing.T) {
	for name, bad := range badStates() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(statePath(dir), []byte(bad[0]), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Restore(dir)
			wantError(t, err, nil, bad[1], statePath(dir), "remove the file")
		})
	}
}

func TestStateFileIsNotFollowed(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, statePath(dir)); err != nil {
		t.Fatal(err)
	}
	_, err := Restore(dir)
	wantError(t, err, nil, "state file")
}

// FuzzStateFile checks that any bytes are refused or are a valid record, which encodes to the same bytes again, and to messages for the
// kernel.
func FuzzStateFile(f *testing.F) {
	good, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, seed := range []struct{ name, state string }{
		{"an address without a peer and a broadcast", `{"version":1,"pod":{"link":{"name":"eth0","index":3},"addresses":[{"prefix":"10.0.0.2/32"}],"routes":[{"dst":"10.0.0.0/24"}]}}`},
		{"no addresses", `{"version":1,"pod":{"link":{"name":"eth0","index":3},"addresses":[]}}`},
		{"faults of each kind: the error lists all", `{"version":1,"pod":{"link":{"name":"","index":3},"addresses":[{}],"routes":[{}],"neighbours":[{}]},"sysctls":[{}]}`},
	} {
		f.Add([]byte(seed.state))
	}
	bad := badStates()
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		f.Add([]byte(bad[name][0]))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		checkRecord(t, r)
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("cannot encode the record: %v", err)
		}
		second, err := parseRecord(again)
		if err != nil {
			t.Fatalf("cannot decode the encoded record: %v\n%s", err, again)
		}
		third, err := json.Marshal(second)
		if err != nil || string(third) != string(again) {
			t.Fatalf("the second encoding differs: %v\n%s\n%s", err, again, third)
		}
		for _, a := range r.Pod.Addresses {
			for _, part := range a.encode(r.Pod.Link.Index) {
				part.Serialize()
			}
		}
		for _, route := range r.Pod.Routes {
			for _, part := range route.encode() {
				part.Serialize()
			}
		}
	})
}
