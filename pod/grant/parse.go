package grant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// maxWord bounds what has no large part, in bytes of JSON.
const maxWord = 64 << 10

// bound is how large what is said may be, in bytes of JSON. Of what a switch says only the settings and the snapshot are large,
// and both stay text here: no switch can make its keeper build something that is many times as large.
func bound(kind string) int {
	if slices.Contains([]string{"hello", "grant", "go", "yielded"}, kind) {
		return maxMessage
	}
	return maxWord
}

// saidBySwitch tells whether it is for a switch to say.
func saidBySwitch(kind string) bool {
	return slices.Contains([]string{"hello", "ready", "started", "reopen", "dial", "yielded", "bye", "stopped", "fault"}, kind)
}

// saidByKeeper tells whether it is for a keeper to say.
func saidByKeeper(kind string) bool {
	return slices.Contains([]string{"grant", "opened", "go", "dialled", "guest", "yield", "stop", "fault"}, kind)
}

// parse reads one object with one thing that is said, which must be for the other side to say.
func parse(body []byte, expected func(kind string) bool) (m Message, err error) {
	kind, text, err := split(body)
	switch {
	case err != nil:
		return m, err
	case !expected(kind):
		return m, fmt.Errorf("%.20q is not for the other side to say", kind)
	case len(body) > bound(kind):
		return m, fmt.Errorf("%q has %d bytes: want at most %d", kind, len(body), bound(kind))
	}
	said := field(&m, kind)
	if err := decode(text, said.Addr().Interface()); err != nil {
		return Message{}, fmt.Errorf("%q: %w", kind, err)
	}
	if said.IsNil() {
		return m, fmt.Errorf("%w, not null", errForm)
	}
	return m, nil
}

// decode reads one JSON value and refuses unknown fields. The error has at most 200 bytes, because a name may be long.
func decode(text json.RawMessage, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return fmt.Errorf("%.200s", err)
	}
	return nil
}

// split takes an object with one member apart, without building anything of it.
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

// formError is errForm with what is known about it. The end of the text is not the end of the conversation.
func formError(cause error) error {
	if cause == nil || errors.Is(cause, io.EOF) {
		return errForm
	}
	return fmt.Errorf("%w: %w", errForm, cause)
}

// field is that of m for a kind, which is one of those that a side may say.
func field(m *Message, kind string) reflect.Value {
	value := reflect.ValueOf(m).Elem()
	i := slices.IndexFunc(reflect.VisibleFields(value.Type()), func(f reflect.StructField) bool {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return name == kind
	})
	return value.Field(i)
}
