package grant

import (
	"flag"
	"reflect"
	"testing"

	"github.com/podswitch/podswitch/pod/grant/granttest"
)

var update = flag.Bool("update", false, "write the golden files of the wire form, for a new Version")

// TestForm: the form of the messages and of their encoded parts does not change without the version of the protocol.
func TestForm(t *testing.T) {
	for path, message := range map[string]reflect.Type{
		"testdata/messages.txt": reflect.TypeFor[Message](),
		"testdata/settings.txt": reflect.TypeFor[Settings](),
	} {
		if err := granttest.Golden(path, Version, *update, message); err != nil {
			t.Error(err)
		}
	}
}
