# Counts the tests in Meson's testlog.txt and shows what failed.
#
#   awk -v code=EXIT-CODE-OF-MESON-TEST -f tally.awk testlog.txt
#
# A cmocka program speaks TAP ("1..N", then "ok 1 - name" a line) and counts once for each of its
# test functions; any other program counts once. A line may follow what a test printed without a
# newline, so it is looked for anywhere; when a program ends well, its plan is believed.
# The last line is "N passed, M failed", with ", K skipped" where there are any.

function report(   lost) {
    ended_well = (result == "exit status 0")
    lost = plan - ok - not_ok - skip
    if (result == "exit status 77" || result == "exit status 0" && plan > 0 && skip == plan) {
        skipped += plan > 0 ? plan : 1
        return
    }
    if (plan < 0) {
        if (ended_well) passed++
        else failed++
    } else if (ended_well) {
        passed += plan - skip
        skipped += skip
    } else {
        # A program that dies takes the functions it did not reach with it.
        if (not_ok + (lost > 0 ? lost : 0) == 0) not_ok = 1
        passed += ok
        skipped += skip
        failed += not_ok + (lost > 0 ? lost : 0)
    }
    if (!ended_well) printf "FAILED %s (%s)\n%s\n", name, result, text
}

function begin() {
    name = result = text = ""
    plan = -1
    ok = not_ok = skip = body = 0
}

/^=+ [0-9]+\/[0-9]+ =+$/ { begin(); open = 1; next }
!open { next }
/^==============================================================================$/ { report(); open = 0; next }
!body && /^test: / { name = substr($0, 15); next }
!body && /^result: / { result = substr($0, 15); next }
/^-+ (stdout|stderr|output) -+$/ { body = 1; next }
!body { next }
{ if (length(text) < 20000) text = text "    " $0 "\n" }
/^1\.\.[0-9]+$/ { plan = (plan < 0 ? 0 : plan) + substr($0, 4); next }
/ok [0-9]+ # SKIP/ { skip++; next }
/^#/ { next }
/not ok [0-9]+ - / { not_ok++; next }
/ok [0-9]+ - / { ok++; next }

END {
    if (open) { result = result " (the log ends here)"; report() }
    # What Meson saw and the log does not say: a program that outlived its time and then ended well.
    if (code != 0 && failed == 0 && passed + skipped > 0) {
        printf "FAILED meson test ended with status %d\n", code
        failed++
    }
    if (passed + failed + skipped == 0) print "no test ran"
    printf "%d passed, %d failed", passed, failed
    if (skipped) printf ", %d skipped", skipped
    print ""
    exit failed > 0 || passed + failed == 0
}
