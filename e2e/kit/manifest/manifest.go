// Package manifest adapts the manifests of deploy to the machines of tests and demos. What differs is in tables, with the reason: Guest has
// the differences of the images and of the virtual machine, and Podman those of podman.
package manifest

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// A Pod is a manifest as a tree of maps, lists and texts.
type Pod map[string]any

// A Change is one difference between a manifest of deploy and the pod that is applied.
type Change struct {
	What, Why string // for a reader
	apply     func(Pod)
}

// Read reads a manifest and makes the changes of tables.
func Read(file string, tables ...[]Change) (Pod, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var p Pod
	if err := yaml.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, table := range tables {
		for _, change := range table {
			change.apply(p)
		}
	}
	return p, nil
}

// Text returns the manifest as YAML.
func (p Pod) Text() (string, error) {
	text, err := yaml.Marshal(p)
	return string(text), err
}

// Markdown returns the rows of a table for documents.
func Markdown(table []Change) (rows []string) {
	for _, c := range table {
		rows = append(rows, "| "+c.What+" | "+c.Why+" |")
	}
	return rows
}

func (p Pod) spec() Pod { return p["spec"].(map[string]any) }

// items returns the maps of a list, such as the volumes of a pod. Without the list it returns none.
func (p Pod) items(list string) (items []Pod) {
	values, _ := p[list].([]any)
	for _, v := range values {
		items = append(items, v.(map[string]any))
	}
	return items
}

// retain removes the items of a list for which keep returns false.
func (p Pod) retain(list string, keep func(item Pod) bool) {
	kept := []any{}
	for _, item := range p.items(list) {
		if keep(item) {
			kept = append(kept, map[string]any(item))
		}
	}
	p[list] = kept
}

// Containers returns all containers in the order in which they start.
func (p Pod) Containers() []Pod {
	return append(p.spec().items("initContainers"), p.spec().items("containers")...)
}

// Container returns the container with a name, or nil.
func (p Pod) Container(name string) Pod {
	for _, c := range p.Containers() {
		if c["name"] == name {
			return c
		}
	}
	return nil
}

// texts returns a list of texts, such as the arguments of a container.
func (p Pod) texts(list string) (texts []string) {
	values, _ := p[list].([]any)
	for _, v := range values {
		texts = append(texts, fmt.Sprint(v))
	}
	return texts
}

func (p Pod) setTexts(list string, texts []string) {
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	p[list] = values
}

// replaceArguments replaces the part of a command from the argument first up to the one before last.
func (p Pod) replaceArguments(first, last string, by ...string) {
	var result []string
	inside, done := false, false
	for _, argument := range p.texts("command") {
		switch {
		case argument == first && !done:
			inside, done = true, true
			result = append(result, by...)
		case argument == last:
			inside = false
		}
		if !inside {
			result = append(result, argument)
		}
	}
	p.setTexts("command", result)
}

// isDisk reports whether a volume, or its mount, is the guest's disk.
func isDisk(item Pod) bool { return item["name"] == "disk" }

// localImage returns the name of an image that is in the local store.
func localImage(name string) string { return "localhost/" + strings.TrimPrefix(name, "localhost/") }
