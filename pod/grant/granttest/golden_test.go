package granttest

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Bytes  []byte       `json:"bytes"`
}

type embedded struct {
	Zone string `json:"zone"`
}

type before struct {
	embedded
	Count  uint16           `json:"count"`
	Text   string           `json:"text,omitempty"`
	Inner  []inner          `json:"inner"`
	Age    *time.Duration   `json:"age_ns,omitempty"`
	Raw    json.RawMessage  `json:"raw"`
	Drops  map[string]inner `json:"drops"`
	Wanted bool             `json:"wanted"`
	Hidden int              `json:"-"`
	hidden int
}

const beforeForm = `age_ns?: number int64
count: number uint16
drops: object
drops{}.bytes: string of base64
drops{}.prefix?: string as of netip.Prefix
drops{}: object
inner: array
inner[].bytes: string of base64
inner[].prefix?: string as of netip.Prefix
inner[]: object
raw: any value
text?: string
wanted: boolean
zone: string
`

// TestDescribe: a description has every field, and nothing that is not on the wire.
func TestDescribe(t *testing.T) {
	if form, err := Describe(reflect.TypeOf(before{hidden: 1})); err != nil || form != beforeForm {
		t.Errorf("%v\n%s\nwant\n%s", err, form, beforeForm)
	}
}

type (
	untagged  struct{ Count int }
	recursive struct {
		Next *recursive `json:"next"`
	}
	custom struct {
		Value marshaler `json:"value"`
	}
	marshaler struct{}
)

func (marshaler) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

// TestDescribeRefuses: a form that cannot be described in full is an error.
func TestDescribeRefuses(t *testing.T) {
	for want, message := range map[string]reflect.Type{
		"no name in its json tag": reflect.TypeFor[untagged](),
		"contains itself":         reflect.TypeFor[recursive](),
		"MarshalJSON":             reflect.TypeFor[custom](),
	} {
		if form, err := Describe(message); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", message, form, err, want)
		}
	}
}

// TestChanges: every change of the wire form changes the description, and no other change of the struct does.
func TestChanges(t *testing.T) {
	type field = struct {
		Count int `json:"count"`
	}
	first, err := Describe(reflect.TypeFor[field]())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		message reflect.Type
		same    bool
	}{
		{"another Go name", reflect.TypeFor[struct {
			Number int `json:"count"`
		}](), true},
		{"another JSON name", reflect.TypeFor[struct {
			Count int `json:"Count"`
		}](), false},
		{"another range", reflect.TypeFor[struct {
			Count int8 `json:"count"`
		}](), false},
		{"optional", reflect.TypeFor[struct {
			Count int `json:"count,omitempty"`
		}](), false},
		{"one more field", reflect.TypeFor[struct {
			Count int `json:"count"`
			More  int `json:"more"`
		}](), false},
		{"a field less", reflect.TypeFor[struct{}](), false},
	} {
		if form, err := Describe(c.message); err != nil || (form == first) != c.same {
			t.Errorf("%s: %q, %v; the same: %t", c.name, form, err, c.same)
		}
	}
}

// TestCompare: a changed form needs a newer version, and a newer version a new file.
func TestCompare(t *testing.T) {
	golden := header(2, "a: string\n")
	for _, c := range []struct {
		name             string
		golden           []byte
		version          int
		form             string
		compared, update string // parts of the errors; empty: no error
	}{
		{"nothing changed", golden, 2, "a: string\n", "", ""},
		{"the form changed alone", golden, 2, "b: string\n", "still 2: move grant.Version", "move grant.Version first"},
		{"the version changed alone", golden, 3, "a: string\n", "with -update", ""},
		{"both changed", golden, 3, "b: string\n", "with -update", ""},
		{"an older version", golden, 1, "b: string\n", "with -update", "older version"},
		{"no version", []byte("a: string\n"), 2, "a: string\n", "the first line", "the first line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, compare(c.golden, c.version, c.form), c.compared)
			revised, err := revise(c.golden, c.version, c.form)
			wantError(t, err, c.update)
			if err == nil {
				wantError(t, compare(revised, c.version, c.form), "")
			}
		})
	}
	if err := compare(golden, 2, "b: string\n"); !strings.Contains(err.Error(), "-a: string\n+b: string") {
		t.Errorf("the difference is not in %q", err)
	}
}

// TestGolden: a file is written only for a newer version.
func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "golden")
	first, second := reflect.TypeFor[inner](), reflect.TypeFor[before]()
	wantError(t, Golden(path, 1, false, first), "no such file")
	wantError(t, Golden(path, 1, true, first), "")
	wantError(t, Golden(path, 1, false, first), "")
	wantError(t, Golden(path, 1, false, second), "still 1")
	wantError(t, Golden(path, 1, true, second), "still 1")
	wantError(t, Golden(path, 1, false, first), "") // the refused update has left the file alone
	wantError(t, Golden(path, 2, true, second), "")
	wantError(t, Golden(path, 2, false, second), "")
	if text, err := os.ReadFile(path); err != nil || string(text) != "version 2\n"+beforeForm {
		t.Errorf("%v\n%s", err, text)
	}
}

// wantError wants an error with this text, or none for the empty text.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}
