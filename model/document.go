package model

// Decoding: from bytes to one object. The faults found here name no field; some contain the line number that the decoder reports.

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"
)

// maxSize is the size limit of a document in bytes. It is above etcd's default limit for an object (1.5 MiB).
const maxSize = 2 << 20

// read decodes data, which must contain exactly one YAML or JSON object. ok is false when no part of it can be used. A duplicate
// field is a fault; read continues with its first value.
func read(data []byte, faults *Faults) (root value, ok bool) {
	switch {
	case len(data) > maxSize:
		faults.add("", "the document has %d bytes; the limit is %d", len(data), maxSize)
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

// decode returns up to two documents that are not empty.
func decode(data []byte, faults *Faults) (documents []any) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.SetStrict(true)
	for len(documents) < 2 {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if duplicates := (*yaml.TypeError)(nil); errors.As(err, &duplicates) {
			for _, message := range duplicates.Errors {
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

// oneLine replaces unprintable characters in a message of the decoder, so that it stays on one line.
func oneLine(message string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, message)
}
