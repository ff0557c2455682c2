package model

// From bytes to one decoded document. A fault here has no field, or the line that the decoder names.

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"
)

// maxSize is the largest document in bytes: more than etcd stores of any object (1.5 MiB by default).
const maxSize = 2 << 20

// read decodes data, which must hold exactly one YAML or JSON object. It is not ok when nothing of it can be used.
// Fields that stand twice are faults, and reading goes on with the first.
func read(data []byte, faults *Faults) (root value, ok bool) {
	switch {
	case len(data) > maxSize:
		faults.add("", "the document has %d bytes; at most %d are read", len(data), maxSize)
		return value{}, false
	case !utf8.Valid(data):
		faults.add("", "the document is not UTF-8 text; save it as UTF-8")
		return value{}, false
	}
	documents := decode(data, faults)
	switch {
	case len(documents) == 0 && len(*faults) == 0:
		faults.add("", "the document is empty; write at least \"kind: VM\", which gives the default connection")
		return value{}, false
	case len(documents) == 0:
		return value{}, false
	case len(documents) > 1:
		faults.add("", "there is more than one YAML document; keep one VM, without \"---\" and what follows it")
	}
	if _, isObject := documents[0].(map[any]any); !isObject {
		faults.add("", "the document must be an object, as in \"kind: VM\", not %s", typeName(documents[0]))
		return value{}, false
	}
	return value{faults: faults, data: documents[0], given: true}, true
}

// decode returns the documents in data that are not empty, at most two.
func decode(data []byte, faults *Faults) (documents []any) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.SetStrict(true)
	for len(documents) < 2 {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if twice := (*yaml.TypeError)(nil); errors.As(err, &twice) {
			for _, message := range twice.Errors {
				faults.add("", "%s; keep one of them", oneLine(message))
			}
		} else if err != nil {
			faults.add("", "the document is neither YAML nor JSON: %s", oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
			break
		}
		if document != nil {
			documents = append(documents, document)
		}
	}
	return documents
}

// oneLine makes a decoder's message fit for one line.
func oneLine(message string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, message)
}
