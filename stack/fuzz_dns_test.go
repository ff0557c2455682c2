package stack

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/iotest"
)

// FuzzDNS reads any bytes as messages over TCP, in one piece and byte by byte, with the same result as a parser of the whole. Each
// message is written back unchanged. No message is both a query and an answer, or an answer to a query with another identifier.
func FuzzDNS(f *testing.F) {
	var one, answer bytes.Buffer
	for _, message := range [][]byte{question(1, "kubernetes"), question(2, ".")} {
		if err := writeMessage(&one, message); err != nil {
			f.Fatal(err)
		}
		message[2] |= 0x80
		if err := writeMessage(&answer, message); err != nil {
			f.Fatal(err)
		}
	}
	for _, seed := range []struct {
		name   string
		stream []byte
	}{
		{"two questions", one.Bytes()}, {"two answers", answer.Bytes()}, {"nothing", nil}, {"half a length", []byte{0}},
		{"a length of 0", []byte{0, 0, 0, 0}}, {"a length, and no message", []byte{0xff, 0xff}}, {"a header cut short", []byte{0, 11, 1, 2, 0x80}},
		{"a question cut short", one.Bytes()[:one.Len()-1]}, {"shorter than a header", append([]byte{0, 11}, make([]byte, 11)...)},
	} {
		f.Add(seed.stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, slow, left := bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream)), stream
		for {
			var want []byte
			complete := false
			if len(left) >= 2 {
				if n := int(binary.BigEndian.Uint16(left)); len(left) >= 2+n {
					want, left, complete = left[2:2+n], left[2+n:], true
				}
			}
			message, err := readMessage(whole)
			again, slowly := readMessage(slow)
			if (err == nil) != complete || (slowly == nil) != complete {
				t.Fatalf("%v, and byte by byte %v; complete: %t", err, slowly, complete)
			}
			if !complete {
				return
			}
			if !bytes.Equal(message, want) || !bytes.Equal(again, want) {
				t.Fatalf("read %x and %x, want %x", message, again, want)
			}
			checkDNS(t, message)
		}
	})
}

func checkDNS(t *testing.T, message []byte) {
	t.Helper()
	var written bytes.Buffer
	if err := writeMessage(&written, message); err != nil || !bytes.Equal(written.Bytes()[2:], message) || written.Len() != 2+len(message) {
		t.Fatalf("%x is written as %x, %v", message, written.Bytes(), err)
	}
	asked := []byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if len(message) >= 2 {
		copy(asked, message[:2])
	}
	isReply := len(message) >= 12 && message[2]>>7 == 1
	if isQuery(message) != (len(message) >= 12 && !isReply) || answers(message, asked) != isReply {
		t.Fatalf("%x is a question: %t, an answer: %t", message, isQuery(message), answers(message, asked))
	}
	if asked[0]++; answers(message, asked) {
		t.Fatalf("%x answers another question", message)
	}
}
