package dataplane

import (
	"flag"
	"reflect"
	"testing"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/grant/granttest"
)

var update = flag.Bool("update", false, "write the golden file of the snapshot's form, for a new grant.Version")

// TestSnapshotForm: the form of what one switch leaves to another does not change without the version of the protocol, because
// the two may be different builds.
func TestSnapshotForm(t *testing.T) {
	if err := granttest.Golden("testdata/snapshot.txt", grant.Version, *update, reflect.TypeFor[snapshot]()); err != nil {
		t.Fatal(err)
	}
}
