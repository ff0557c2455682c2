package grant

import (
	"flag"
	"reflect"
	"testing"

	"github.com/podswitch/podswitch/pod/grant/granttest"
)

var update = flag.Bool("update", false, "write the golden files of the wire form, for a new Version")

// TestFixedForm: messages that builds of different versions exchange have the same form in all versions.
func TestFixedForm(t *testing.T) {
	for message, want := range map[reflect.Type]string{
		reflect.TypeFor[Hello](): "settings?: any value\ntakeover?: boolean\nversion: number int\n",
		reflect.TypeFor[Fault](): "code: number int\ntext: string\n",
	} {
		if form, err := granttest.Describe(message); err != nil || form != want {
			t.Errorf("%s has the form\n%s%v, want\n%s", message, form, err, want)
		}
	}
}

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
