package podnet

import (
	"strings"
	"testing"
)

func TestFirewallTablesOmitsThoseOfPodswitch(t *testing.T) {
	p := newPod(t)
	if got, err := FirewallTables(); len(got) > 0 || err != nil {
		t.Errorf("tables %v, %v in a new namespace", got, err)
	}
	p.run("nft", "add", "table", "ip", "openshift-block-output")
	p.run("nft", "add", "table", "inet", "mesh")
	p.run("nft", "add", "table", "ip", tablePrefix+"7")
	if got, err := FirewallTables(); strings.Join(got, " ") != "openshift-block-output mesh" || err != nil {
		t.Errorf("tables %q, %v", got, err)
	}
}
