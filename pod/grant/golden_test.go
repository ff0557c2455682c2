package grant

import (
	"flag"
	"reflect"
	"testing"

	"github.com/podswitch/podswitch/pod/grant/granttest"
)

var update = flag.Bool("update", false, "write the golden file of the messages' form, for a new Version")

// TestForm: the form of the messages does not change without the version of the protocol.
func TestForm(t *testing.T) {
	if err := granttest.Golden("testdata/messages.txt", Version, *update, reflect.TypeFor[Message]()); err != nil {
		t.Fatal(err)
	}
}
