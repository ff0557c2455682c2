package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Program has the memory mappings of this program's own file whose pages equal the file: code and constants. The zero Program has none.
//
// The start of a process uses most of its code once. The kernel maps 64 KiB around each fault, and counts every mapped page as resident
// memory of the process from then on, although a process that waits for events needs few of them. Release unmaps these pages. They stay
// in the page cache until the kernel needs the memory, and a later use maps them again with a minor fault.
type Program struct{ mappings []mapping }

// A mapping is a range of addresses, the end excluded.
type mapping struct{ start, end uintptr }

// FindProgram returns the mappings of this program. It reads /proc: call it before the sandbox. After an error, for example without /proc
// or on a kernel without CONFIG_PROC_PAGE_MONITOR, the Program has no mappings, and the process works without.
func FindProgram() (Program, error) {
	file, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return Program{}, fmt.Errorf("mappings of the program: %w", err)
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return Program{}, fmt.Errorf("mappings of the program: %w", err)
	}
	defer smaps.Close()
	mappings, err := unchanged(smaps, file)
	if err != nil {
		return Program{}, fmt.Errorf("mappings of the program: /proc/self/smaps: %w", err)
	}
	return Program{mappings}, nil
}

// Release unmaps the pages of the program until they are used again (madvise(2), MADV_DONTNEED). It may be called at any time and
// repeatedly.
func (p Program) Release() (err error) {
	for _, m := range p.mappings {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("release the program's pages: %w", os.NewSyscallError("madvise", errno)))
		}
	}
	return err
}

// unchanged returns the mappings of file, in the text of /proc/PID/smaps (proc_pid_smaps(5)), that are not writable and have no page that
// differs from the file. MADV_DONTNEED would lose such pages, which relocations of the linker and breakpoints of a debugger cause. The
// mappings of a program are adjacent, and unchanged stops behind the last one, because the kernel counts pages for each mapping that is read.
func unchanged(smaps io.Reader, file string) (found []mapping, err error) {
	var m mapping
	seen, isUnchanged := false, false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch {
		case !strings.HasSuffix(name, ":"): // the first line of a mapping: addresses, access, offset, device, inode, path
			own := strings.HasSuffix(value, " "+file)
			if seen && !own {
				return found, nil
			}
			seen, isUnchanged = own, own && value[1] == '-'
			if m, err = parseMapping(name); err != nil {
				return nil, err
			}
		case name == "Anonymous:" || name == "Swap:":
			isUnchanged = isUnchanged && strings.TrimSpace(value) == "0 kB"
		case name == "VmFlags:" && isUnchanged: // the last line
			found = append(found, m)
		}
	}
	return found, lines.Err()
}

// parseMapping parses the addresses of a mapping, for example "00400000-00a6e000".
func parseMapping(text string) (mapping, error) {
	first, end, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 16, strconv.IntSize)
	if err != nil {
		return mapping{}, err
	}
	to, err := strconv.ParseUint(end, 16, strconv.IntSize)
	return mapping{uintptr(from), uintptr(to)}, err
}
