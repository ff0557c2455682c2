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

// A Program is where the kernel has mapped this program's own file, as far as it is as in the file: code and constants.
//
// Starting up goes through most of the code once, and the kernel counts every page of it for the process from then on, 64 KiB around
// each place. One that waits for the rest of its life needs little of it. What is let go stays in the page cache as long as
// there is room, and is mapped again by a minor fault when it is used; what nobody uses any more, the kernel may drop. The zero
// Program has nothing to let go.
type Program struct{ mappings []mapping }

// A mapping is a range of addresses, the end excluded.
type mapping struct{ start, end uintptr }

// FindProgram finds the mappings. It reads /proc: it goes before any sandbox. An error says that there is nothing to let go, which
// harms nothing: /proc may be missing, or a kernel without CONFIG_PROC_PAGE_MONITOR.
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

// LetGo takes the pages from the process until it uses them again (madvise(2), MADV_DONTNEED). It may be called at any time, and
// again.
func (p Program) LetGo() (err error) {
	for _, m := range p.mappings {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("let go of the program's pages: %w", os.NewSyscallError("madvise", errno)))
		}
	}
	return err
}

// unchanged finds in the text of /proc/PID/smaps (proc_pid_smaps(5)) the mappings of the file that cannot be written to and have no
// page that differs from the file: a linker's relocations and a debugger's breakpoints make some, which would be lost. The mappings of a
// program lie side by side; what follows them is not read, because the kernel counts pages while it is.
func unchanged(smaps io.Reader, file string) (found []mapping, err error) {
	var m mapping
	seen, fits := false, false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch {
		case !strings.HasSuffix(name, ":"): // the first line of a mapping: addresses, access, offset, device, inode, path
			own := strings.HasSuffix(value, " "+file)
			if seen && !own {
				return found, nil
			}
			seen, fits = own, own && value[1] == '-'
			if m, err = parseMapping(name); err != nil {
				return nil, err
			}
		case name == "Anonymous:" || name == "Swap:":
			fits = fits && strings.TrimSpace(value) == "0 kB"
		case name == "VmFlags:" && fits: // the last line
			found = append(found, m)
		}
	}
	return found, lines.Err()
}

// parseMapping reads the addresses of a mapping, as "00400000-00a6e000".
func parseMapping(text string) (mapping, error) {
	first, end, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 16, strconv.IntSize)
	if err != nil {
		return mapping{}, err
	}
	to, err := strconv.ParseUint(end, 16, strconv.IntSize)
	return mapping{uintptr(from), uintptr(to)}, err
}
