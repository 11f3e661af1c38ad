"""The roofline of docs/gpu.md: SASS instructions of each loop times how often it turns. Computed, not measured.

python3 benches/device/roofline.py COMPILERS NVDISASM TWINS, where COMPILERS is what .ci/get-nvidia prints, NVDISASM is the
program of `pip install --no-deps nvidia-cuda-nvdisasm==13.2.78`, and TWINS is the folder into which the test gpu_twin has put
the twins' texts (target/tmp/gpu). Needs g++.
"""
import os, re, subprocess, sys, tempfile

compilers, nvdisasm, twins = sys.argv[1:4]
here = os.path.dirname(os.path.abspath(__file__))
ptx = os.path.join(here, "../../envs/gpu/ptx")
H100 = 132 * 4 * 32 * 1.755e9  # lane-instructions/s at one instruction a cycle and scheduler
NAMES = ["contacts", "Newton steps", "contacts in gradients", "contacts in Hessians", "line-search evaluations",
         "contacts in them"]


def instructions(name, folder):
    """The kernel's instructions and where its labels are."""
    cubin = os.path.join(folder, "kernel.cubin")
    subprocess.run([f"{compilers}/bin/ptxas", "-arch=sm_90", "-o", cubin, f"{ptx}/{name}.ptx"], check=True)
    text = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, text=True, check=True).stdout
    text = text[text.index(".text.advance"):]
    other = re.search(r"\n\s*\.section\s+\.text\.begin", text)
    listing, labels = [], {}
    for line in (text[:other.start()] if other else text).splitlines():
        if label := re.match(r"(\.L_\w+):", line.strip()):
            labels[label[1]] = len(listing)
        elif instruction := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            listing.append(instruction[1])
    return listing, labels


def loops(listing, labels):
    """(first, last, own instructions) of each loop: a branch backwards and what it spans."""
    ends = {}
    for k, instruction in enumerate(listing):
        branch = re.search(r"BRA.*?(\.L_\w+)", instruction)
        if branch and labels.get(branch[1], k + 1) < k:
            ends[labels[branch[1]]] = max(ends.get(labels[branch[1]], 0), k)
    spans = sorted(ends.items())
    inside = lambda a, b, c, d: a <= c and d <= b and (a, b) != (c, d)
    own = lambda a, b: set(range(a, b + 1)).difference(*(range(c, d + 1) for c, d in spans if inside(a, b, c, d)))
    return [(a, b, len(own(a, b))) for a, b in spans]


def costs(found):
    """The loops by what they are: the last nine are finish, measure, Newton, gradient, Hessian, slopes, search, its contacts,
    residuals; before them stands the moment."""
    newton = [k for k, (a, b, _) in enumerate(found) if sum(a < c and d < b for c, d, _ in found) == 6][0]
    moment = [size for a, b, size in found if a < found[newton][0] and b > found[newton][1]][-1]
    return [moment] + [size for _, _, size in found[newton - 2:newton + 7]]


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name in ["halfcheetah-fast", "hopper-max-fast", "walker2d-v4-fast"]:
            listing, labels = instructions(name, folder)
            size = costs(loops(listing, labels))
            program = os.path.join(folder, "trips")
            source = os.path.abspath(f"{twins}/{name}.cpp")
            subprocess.run(["g++", "-O2", "-ffp-contract=off", "-w", f'-DSOURCE="{source}"', "-o", program,
                            f"{here}/trips.cpp"], check=True)
            numbers = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
            moments, trips = int(numbers[0]), [float(x) for x in numbers[1:]]
            print(f"{name}: {len(listing)} instructions; moment, finish, measure, Newton, gradient, Hessian, slopes, "
                  f"search, its contacts, residuals: {size}")
            for which, who in enumerate(["one robot", "a warp"]):
                contacts, newton, gradients, hessians, searches, touched = trips[which::2]
                total = (size[0] + (size[1] + size[2]) * contacts + size[3] * newton + size[4] * gradients
                         + (size[5] + size[6] + size[9]) * hessians + size[7] * searches + size[8] * touched)
                counts = ", ".join(f"{n} {x:.2f}" for n, x in zip(NAMES, trips[which::2]))
                print(f"  {who}: {counts}; {total:.0f} instructions a moment, {moments} moments a step, at most "
                      f"{H100 / total / moments / 1e6:.0f} M steps/s on an H100")


main()
