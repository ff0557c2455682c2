package podnet

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadResolvFollowsGlibc(t *testing.T) {
	tests := []struct {
		name, text string
		servers    []string
		search     []string
	}{
		{"nothing", "", nil, nil},
		{"a cluster's", "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
			[]string{"10.96.0.10"}, []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"}},
		{"the last search wins", "search a b\nsearch c\n", nil, []string{"c"}},
		{"domain without search", "domain example.org\n", nil, []string{"example.org"}},
		{"domain gives one name", "domain example.org example.net\n", nil, []string{"example.org"}},
		{"search after domain", "domain a\nsearch b c\n", nil, []string{"b", "c"}},
		{"an empty search is ignored", "search a\nsearch \nsearch\n", nil, []string{"a"}},
		{"both families", "nameserver fd00::a\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n",
			[]string{"fd00::a", "10.0.0.1", "fe80::1%eth0"}, nil},
		{"a mapped IPv4 address", "nameserver ::ffff:10.0.0.1\n", []string{"10.0.0.1"}, nil},
		{"bad servers", "nameserver\nnameserver dns.example.org\nnameserver 10.0.0.256\nnameserver 10.0.0.2\n", []string{"10.0.0.2"}, nil},
		{"comments", "# nameserver 10.0.0.1\n; nameserver 10.0.0.2\nnameserver 10.0.0.3 # ours\nnameserver 10.0.0.4;x\n",
			[]string{"10.0.0.3", "10.0.0.4"}, nil},
		{"keywords start in the first column", " nameserver 10.0.0.1\n\tsearch a\n", nil, nil},
		{"keywords are whole words", "nameservers 10.0.0.1\nsearching a\n", nil, nil},
		{"tabs, blanks and no final newline", "nameserver\t 10.0.0.1 \t\nsearch\ta\t b", []string{"10.0.0.1"}, []string{"a", "b"}},
		{"Windows line ends", "nameserver 10.0.0.1\r\nsearch a b\r\n", []string{"10.0.0.1"}, []string{"a", "b"}},
		{"bytes", "\x00\xff\nnameserver 10.0.0.1\n\x00", []string{"10.0.0.1"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := Resolv{Search: test.search}
			for _, s := range test.servers {
				want.NameServers = append(want.NameServers, netip.MustParseAddr(s))
			}
			got := ReadResolv(strings.NewReader(test.text))
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
