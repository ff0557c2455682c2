package main

import (
	"os"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	tail := " S 17 41 40 0 -1 4194560 100 0 0 0 7 7 250 125 20 0 1 0 98765 1 1"
	want := stat{state: "S", parent: 17, group: 41, session: 40, ended: 3.75, born: 98765}
	for name, test := range map[string]struct {
		text string
		bad  bool
	}{
		"plain":            {text: "42 (pump)" + tail},
		"name with spaces": {text: "42 (a b c)" + tail},
		"name with ') '":   {text: "42 (x) S 1 (y)" + tail},
		"no name":          {text: "42 pump S 17", bad: true},
		"cut off":          {text: "42 (pump) S 17 41 40", bad: true},
		"no number":        {text: "42 (pump) S 17 41 40 0 -1 4194560 100 0 0 0 7 7 x 125 20 0 1 0 98765", bad: true},
		"empty":            {bad: true},
	} {
		got, err := parseStat(test.text)
		switch {
		case test.bad && err == nil:
			t.Errorf("%s: no error", name)
		case !test.bad && (err != nil || got != want):
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestFamily(t *testing.T) {
	all := map[int]stat{
		1: {}, 10: {parent: 1, group: 10, session: 10}, 11: {parent: 10, group: 10, session: 10}, 12: {parent: 11, group: 12, session: 12},
		13: {parent: 1, group: 10, session: 10}, // its parent has ended
		14: {parent: 1, group: 14, session: 10}, // its parent has ended, and it has its own group
		15: {parent: 14, group: 15, session: 15},
		20: {parent: 1, group: 20, session: 20}, 21: {parent: 20, group: 20, session: 20},
	}
	for _, test := range []struct{ roots, want []int }{
		{[]int{10}, []int{10, 11, 12, 13, 14, 15}},
		{[]int{10, 11}, []int{10, 11, 12, 13, 14, 15}}, // each counts once
		{[]int{12, 20}, []int{12, 20, 21}},
		{[]int{99}, nil},
		{nil, nil},
	} {
		got := family(all, test.roots)
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("family(%v) = %v, want %v", test.roots, got, test.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	got, err := parseSize("Name:\tpump\nVmHWM:\t    9999 kB\nVmRSS:\t    2048 kB\nThreads:\t5\n", "VmRSS")
	if err != nil || got != 2 {
		t.Errorf("%v, %v; want 2", got, err)
	}
	got, err = parseSize("00400000-7ffc ---p 00000000 00:00 0    [rollup]\nRss:    4096 kB\nPss:    1024 kB\nPss_Anon:    512 kB\n", "Pss")
	if err != nil || got != 1 {
		t.Errorf("%v, %v; want 1", got, err)
	}
	for _, bad := range []string{"", "Name:\tkthreadd\n", "VmRSS:\tmuch\n"} {
		if _, err := parseSize(bad, "VmRSS"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestCPUOfNobody(t *testing.T) {
	if own, err := cpuOf(os.Getpid()); err != nil || own <= 0 {
		t.Errorf("this process: %v s, %v", own, err)
	}
	if _, err := cpuOf(1 << 22); err == nil { // the maximum of pid_max
		t.Error("an impossible process id: no error")
	}
}
