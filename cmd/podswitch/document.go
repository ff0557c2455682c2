package main

import (
	"fmt"
	"io"
	"os"

	"github.com/podswitch/podswitch/model"
)

// readVM reads a VM document; without a file it is the default one.
func readVM(file string, stdin io.Reader) (*model.VM, error) {
	if file == "" {
		return model.Default(), nil
	}
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, usageError{fmt.Errorf("VM document: %w", err)}
	}
	vm, err := model.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("VM document %s:\n%w", file, err)
	}
	return vm, nil
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
