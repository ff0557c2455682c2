package podnet

import (
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// FuzzResolv compares ReadResolv with a second implementation for any text, and reads the result again after it was written.
func FuzzResolv(f *testing.F) {
	for _, seed := range []struct{ name, text string }{
		{"kubelet's", "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"},
		{"the last of search and domain wins", "search a b\ndomain c d\nnameserver 10.0.0.1\n"},
		{"a domain, and search after it", "domain a\nsearch b c"},
		{"Windows line ends", "nameserver 10.0.0.1\r\nsearch a\r\n"},
		{"comments, also after an address", "# no\n;no\nnameserver 10.0.0.1#x\nnameserver 10.0.0.2;y z\n"},
		{"a comment in place of an address", "nameserver #\nnameserver ;"},
		{"a keyword starts in the first column", " nameserver 10.0.0.1\n\tsearch a\n"},
		{"a keyword alone", "nameserver\nnameserver \nsearch\ndomain\t\n"},
		{"IPv6, with a zone, and IPv4 in it", "nameserver fe80::1%eth0\nnameserver ::ffff:10.0.0.1\n"},
		{"no address", "nameserver localhost\nnameserver 10.0.0.256\nnameserver 010.0.0.1"},
		{"upper case", "NAMESERVER 10.0.0.1\n"},
		{"no line end, NUL, and bytes that are no text", "search a\x00b \xff\xfe"},
		{"white space of other kinds", "search a\vb\fc\u00a0d\u2028e"},
	} {
		f.Add(seed.text)
	}
	keyword := regexp.MustCompile(`^(nameserver|search|domain)[ \t](.*)$`)
	comment := regexp.MustCompile(`[#;]`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		var want Resolv
		for _, line := range strings.Split(text, "\n") {
			line = strings.TrimRight(line, "\r")
			parts := keyword.FindStringSubmatch(line)
			if parts == nil || len(strings.Fields(parts[2])) == 0 {
				continue
			}
			words := strings.Fields(parts[2])
			if parts[1] != "nameserver" {
				want.Search = words
				if parts[1] == "domain" {
					want.Search = words[:1]
				}
				continue
			}
			if a, err := netip.ParseAddr(comment.Split(words[0], 2)[0]); err == nil {
				want.NameServers = append(want.NameServers, a.Unmap())
			}
		}
		got := ReadResolv(strings.NewReader(text))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %+v, want %+v", text, got, want)
		}
		written := "search " + strings.Join(got.Search, " ") + "\n"
		for _, a := range got.NameServers {
			written += "nameserver " + a.String() + "\n"
		}
		if again := ReadResolv(strings.NewReader(written)); !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is written as %q and read as %+v", text, written, again)
		}
	})
}

// checkRecord checks the values of an accepted record against the limits of the kernel and the file system.
func checkRecord(t *testing.T, r *record) {
	t.Helper()
	name := r.Pod.Link.Name
	if name == "" || len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/ \n\t") || r.Pod.Link.Index <= 0 {
		t.Errorf("the interface %q with the index %d was accepted", name, r.Pod.Link.Index)
	}
	for _, s := range r.Sysctls {
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(s.Name) || !regexp.MustCompile(`^-?[0-9]+$`).MatchString(s.Value) {
			t.Errorf("the sysctl %q, %q was accepted", s.Name, s.Value)
		}
	}
	for _, a := range r.Pod.Addresses {
		if !a.Prefix.Addr().Is4() || len(a.Label) > 15 || a.Peer.IsValid() && !a.Peer.Is4() || a.Broadcast.IsValid() && !a.Broadcast.Is4() {
			t.Errorf("the address %+v was accepted", a)
		}
	}
	for _, route := range r.Pod.Routes {
		if !route.Dst.Addr().Is4() || route.Source.IsValid() && !route.Source.Is4() || route.Link < 0 {
			t.Errorf("the route %+v was accepted", route)
		}
		for _, hop := range route.NextHops {
			if hop.Weight < 1 || hop.Weight > 256 || hop.Link < 1 {
				t.Errorf("the next hop %+v was accepted", hop)
			}
		}
	}
	for _, n := range r.Pod.Neighbours {
		if !n.Address.Is4() {
			t.Errorf("the neighbour %+v was accepted", n)
		}
	}
}
