package limits

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A mapped is a mapping as in /proc/PID/smaps.
type mapped struct {
	line            string
	anonymous, swap int // KiB
}

func (m mapped) String() string {
	return fmt.Sprintf("%s\nSize: 8 kB\nRss: 8 kB\nAnonymous: %10d kB\nSwap: %15d kB\nTHPeligible:           0\nVmFlags: rd ex mr mw me sd\n",
		m.line, m.anonymous, m.swap)
}

func TestUnchanged(t *testing.T) {
	const file = "/opt/pod switch (deleted)"
	var (
		code      = mapped{"00400000-00a6e000 r-xp 00000000 fd:01 123                        " + file, 0, 0}
		constants = mapped{"00a6e000-011d8000 r--p 0066e000 fd:01 123                        " + file, 0, 0}
		data      = mapped{"011d8000-0123a000 rw-p 00dd8000 fd:01 123                        " + file, 88, 0}
		bss       = mapped{"0123a000-037ae000 rw-p 00000000 00:00 0", 232, 0}
		library   = mapped{"7f0000000000-7f0000002000 r-xp 00000000 fd:01 124                /opt/library", 0, 0}
		again     = mapped{"7f0000004000-7f0000006000 r--p 00000000 fd:01 123                " + file, 0, 0}
		relocated = mapped{constants.line, 4, 0}
		swapped   = mapped{constants.line, 0, 4}
		shorter   = mapped{strings.TrimSuffix(code.line, " (deleted)"), 0, 0}

		codeAt, constantsAt = mapping{0x400000, 0xa6e000}, mapping{0xa6e000, 0x11d8000}
	)
	tests := []struct {
		name string
		maps []mapped
		want []mapping
	}{
		{"a static program", []mapped{code, constants, data, bss}, []mapping{codeAt, constantsAt}},
		{"below a library", []mapped{code, constants, data, library}, []mapping{codeAt, constantsAt}},
		{"above a library", []mapped{library, bss, code, constants}, []mapping{codeAt, constantsAt}},
		{"a page that was relocated", []mapped{code, relocated, data}, []mapping{codeAt}},
		{"a page that is in swap", []mapped{code, swapped, data}, []mapping{codeAt}},
		{"mapped elsewhere too", []mapped{code, data, bss, again}, []mapping{codeAt}},
		{"another file", []mapped{library, shorter, bss}, nil},
		{"nothing", nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			for _, m := range test.maps {
				text.WriteString(m.String())
			}
			got, err := unchanged(strings.NewReader(text.String()), file)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%x, %v; want %x", got, err, test.want)
			}
		})
	}
}

func TestNoMappings(t *testing.T) {
	for _, text := range []string{"00400000 r-xp 0 fd:01 123 /opt/file\n", "g-h r-xp 0 fd:01 123 /opt/file\n", "4-fffffffffffffffff r-xp 0 fd:01 123 /opt/file\n",
		strings.Repeat("a line without an end", 10_000)} {
		if got, err := unchanged(strings.NewReader(text), "/opt/file"); err == nil {
			t.Errorf("%.40q: found %x, want an error", text, got)
		}
	}
}

// TestRelease releases all pages of this program: they are unmapped, and unchanged when they are mapped again.
func TestRelease(t *testing.T) {
	program, err := FindProgram()
	if err != nil {
		t.Skipf("this machine has no mappings to release: %v", err)
	}
	here := reflect.ValueOf(TestRelease).Pointer()
	if !slices.ContainsFunc(program.mappings, func(m mapping) bool { return m.start <= here && here < m.end }) {
		t.Fatalf("%x is in none of %x", here, program.mappings)
	}
	before := program.sum(t) // reads all pages
	whole := program.resident(t)
	if err := program.Release(); err != nil {
		t.Fatal(err)
	}
	if left := program.resident(t); left > whole*4/5 { // the check itself uses half of so small a program
		t.Errorf("%d of %d pages are left, want at most four of five", left, whole)
	}
	if after := program.sum(t); !bytes.Equal(before, after) {
		t.Errorf("the program has changed from %x to %x", before, after)
	}
}

// TestNothingToRelease: a Program without mappings is not an error.
func TestNothingToRelease(t *testing.T) {
	if err := (Program{}).Release(); err != nil {
		t.Error(err)
	}
}

// sum returns a checksum of the mappings.
func (p Program) sum(t *testing.T) []byte {
	t.Helper()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	sum, page := sha256.New(), make([]byte, os.Getpagesize())
	for _, m := range p.mappings {
		for at := m.start; at < m.end; at += uintptr(len(page)) {
			if _, err := memory.ReadAt(page, int64(at)); err != nil {
				t.Fatalf("%x: %v", at, err)
			}
			sum.Write(page)
		}
	}
	return sum.Sum(nil)
}

// resident returns the number of mapped pages (bit 63, proc_pid_pagemap(5)).
func (p Program) resident(t *testing.T) (n int) {
	t.Helper()
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer pagemap.Close()
	const entry = 8 // bytes for each page
	for _, m := range p.mappings {
		pages := make([]byte, entry*(m.end-m.start)/uintptr(os.Getpagesize()))
		if _, err := pagemap.ReadAt(pages, int64(entry*m.start/uintptr(os.Getpagesize()))); err != nil {
			t.Fatal(err)
		}
		for ; len(pages) > 0; pages = pages[entry:] {
			n += int(binary.NativeEndian.Uint64(pages) >> 63)
		}
	}
	return n
}
