# blocks.awk -- writes each fenced block that is marked (run.sh) to the file named by its line below `to`, and prints "LINE LANGUAGE MARK..."
!open && /^ *```/ {
    open = 1
    indent = index($0, "`") - 1
    marked = $2 ~ /^(test$|file=)/ ? FNR : 0
    if (marked) {
        sub(/^ *```/, "")
        print FNR, $0
        printf "" > (to FNR)
    }
    next
}
open && /^ *``` *$/ { open = 0; if (marked) close(to marked); next }
open && marked { print substr($0, indent + 1) > (to marked) }
