package grant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
)

// A side is an end of a session.
type side uint8

const (
	switchSide side = 1 << iota
	keeperSide
)

func (s side) String() string {
	if s == switchSide {
		return "switch"
	}
	return "keeper"
}

// maxSmall is the largest size of a message without a large part, in bytes of JSON.
const maxSmall = 64 << 10

// maxLearned is the largest size of a Learned, in bytes of JSON. Its largest part is the guest's host name, of at most 255 bytes, which
// JSON may write with six characters for each.
const maxLearned = 4 << 10

// maxYielded is the largest size of a Yielded, in bytes of JSON. It leaves space for what a Begin has beside the snapshot.
const maxYielded = maxMessage - 4<<10

// A rule is what holds for every message of one name.
type rule struct {
	senders side // both bits: either side
	limit   int  // largest size in bytes of JSON
}

// rules has a row for each field of Message. In what a switch sends, only settings and snapshot are large, and both stay encoded
// here: no switch can make its keeper allocate many times the size of a message.
var rules = map[string]rule{
	"hello":        {switchSide, maxMessage},
	"stand_by":     {keeperSide, maxSmall},
	"grant":        {keeperSide, maxMessage},
	"opened":       {keeperSide, maxSmall},
	"ready":        {switchSide, maxSmall},
	"begin":        {keeperSide, maxMessage},
	"started":      {switchSide, maxSmall},
	"reopen":       {switchSide, maxSmall},
	"dial":         {switchSide, maxSmall},
	"dialled":      {keeperSide, maxSmall},
	"guest_state":  {keeperSide, maxSmall},
	"learned":      {switchSide, maxLearned},
	"uplink_state": {keeperSide, maxSmall},
	"changed":      {keeperSide, maxMessage},
	"yield":        {keeperSide, maxSmall},
	"yielded":      {switchSide, maxYielded},
	"bye":          {switchSide, maxSmall},
	"stop":         {keeperSide, maxSmall},
	"stopped":      {switchSide, maxSmall},
	"ask":          {switchSide, maxSmall},
	"answer":       {keeperSide, maxSmall},
	"fault":        {switchSide | keeperSide, maxSmall},
}

// parse reads a message from the given side.
func parse(body []byte, from side) (m Message, err error) {
	name, content, err := split(body)
	if err != nil {
		return m, err
	}
	r, known := rules[name]
	if !known || r.senders&from == 0 {
		return m, fmt.Errorf("%.20q is not a message from a %v", name, from)
	}
	if len(body) > r.limit {
		return m, fmt.Errorf("%q has %d bytes: want at most %d", name, len(body), r.limit)
	}
	value := field(&m, name)
	if err := decode(content, value.Addr().Interface()); err != nil {
		return Message{}, fmt.Errorf("%q: %w", name, err)
	}
	if value.IsNil() {
		return m, fmt.Errorf("%w, not null", errForm)
	}
	return m, nil
}

// decode reads one JSON value and refuses unknown fields. The text of the error is cut, because a name may be long.
func decode(text json.RawMessage, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return fmt.Errorf("%.200s", err)
	}
	return nil
}

// split returns the name and the value of an object with one member. It does not decode the value: the name decides whether that
// is allowed.
func split(body []byte) (name string, value json.RawMessage, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	for range 2 {
		token, failed := decoder.Token()
		if name, _ = token.(string); token != json.Delim('{') && name == "" || failed != nil {
			return "", nil, formError(failed)
		}
	}
	if err := decoder.Decode(&value); err != nil {
		return "", nil, formError(err)
	}
	if end, err := decoder.Token(); err != nil || end != json.Delim('}') {
		return "", nil, formError(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("%w, and nothing behind it", errForm)
	}
	return name, value, nil
}

// formError returns errForm with its cause. It hides io.EOF, which would mean the end of the session.
func formError(cause error) error {
	if cause == nil || errors.Is(cause, io.EOF) {
		return errForm
	}
	return fmt.Errorf("%w: %w", errForm, cause)
}

// field returns the field of m with a name, which is one of rules.
func field(m *Message, name string) reflect.Value {
	value := reflect.ValueOf(m).Elem()
	i := slices.IndexFunc(reflect.VisibleFields(value.Type()), func(f reflect.StructField) bool { return wireName(f) == name })
	return value.Field(i)
}
