package podnet

import (
	"strings"
	"testing"
)

func TestFirewallTablesOmitsThoseOfPodswitch(t *testing.T) {
	p := newPod(t)
	if got, err := FirewallTables(IPv4, IPv6); len(got) > 0 || err != nil {
		t.Errorf("tables %v, %v in a new namespace", got, err)
	}
	p.run("nft", "add", "table", "ip", "openshift-block-output")
	p.run("nft", "add", "table", "inet", "mesh")
	p.run("nft", "add", "table", "ip", tablePrefix+"7")
	p.run("nft", "add", "table", "ip6", "mesh6")
	if got, err := FirewallTables(IPv4); strings.Join(got, " ") != "openshift-block-output mesh" || err != nil {
		t.Errorf("tables %q, %v", got, err)
	}
	if got, err := FirewallTables(IPv6); strings.Join(got, " ") != "mesh6 mesh" || err != nil {
		t.Errorf("tables %q, %v of IPv6", got, err)
	}
}
