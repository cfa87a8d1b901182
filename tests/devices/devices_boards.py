"""Whole fake boards: the files that detection, telemetry and the search for accelerators read of each.

After what kernels and vendors publish (device facts of each family); not taken from hardware.
"""

from __future__ import annotations

from typing import NamedTuple

from edgecv.devices.telemetry import Reading

Files = dict[str, str]

CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"
INA = "sys/bus/i2c/drivers/ina3221"


class Board(NamedTuple):
    """What is to be found: `accelerators` by their names."""

    files: Files
    profile: str
    cpu: str
    reading: Reading
    power_source: str | None = None
    jetpack: str | None = None
    throttle_c: float | None = None
    power_mode: str | None = None
    accelerators: tuple[str, ...] = ()


def cpuinfo(cores: int, features: str, part: str, implementer: str = "0x41", tail: str = "") -> str:
    block = "processor\t: {}\nFeatures\t: {}\nCPU implementer\t: {}\nCPU part\t: {}\n\n"
    return "".join(block.format(core, features, implementer, part) for core in range(cores)) + tail


def linux(model: str, compatible: str, cpus: str, temp: int, khz: int, zone: str = "cpu-thermal") -> Files:
    """The files that every board with a device tree has."""
    return {
        "proc/cpuinfo": cpus,
        "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 204800 kB\n",
        "proc/loadavg": "0.50 0.40 0.30 1/200 4242\n",
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": "".join(f"{entry}\0" for entry in compatible.split()),
        "sys/class/thermal/thermal_zone0/type": f"{zone}\n",
        "sys/class/thermal/thermal_zone0/temp": f"{temp}\n",
        f"{CPUFREQ}/scaling_cur_freq": f"{khz}\n",
        f"{CPUFREQ}/scaling_governor": "schedutil\n",
    }


def jetson(revision: str, mode: int, passive: int) -> Files:
    """What JetPack adds: its release, the power mode that nvpmodel keeps, trip points, a GPU."""
    zone = "sys/class/thermal/thermal_zone0"
    release, _, rest = revision.partition(".")
    return {
        "etc/nv_tegra_release": f"# R{release} (release), REVISION: {rest}, GCID: 1, BOARD: generic\n",
        "var/lib/nvpmodel/status": f"pmode:{mode:04d}\n",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=2 NAME=15W >\n",
        f"{zone}/trip_point_0_type": "active\n",
        f"{zone}/trip_point_0_temp": "50000\n",
        f"{zone}/trip_point_1_type": "passive\n",
        f"{zone}/trip_point_1_temp": f"{passive}\n",
        f"{zone}/trip_point_2_type": "critical\n",
        f"{zone}/trip_point_2_temp": "104500\n",
        "sys/devices/virtual/thermal/cooling_device0/type": "cpu-throttle-alert\n",
        "sys/devices/virtual/thermal/cooling_device0/cur_state": "0\n",
        "dev/nvhost-gpu": "",
    }


def rails(monitor: str, *named: tuple[str, int, int]) -> Files:
    """An INA3221 as kernels since JetPack 5 show it: (label, mV, mA) a channel."""
    folder = f"{INA}/{monitor}/hwmon/hwmon3"
    files = {}
    for channel, (label, mv, ma) in enumerate(named, 1):
        files |= {
            f"{folder}/in{channel}_label": f"{label}\n",
            f"{folder}/in{channel}_input": f"{mv}\n",
            f"{folder}/curr{channel}_input": f"{ma}\n",
        }
    return files


def iio(*named: tuple[str, int]) -> Files:
    """The same as JetPack 4 shows it: (label, mW) a rail."""
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    files = {}
    for channel, (label, mw) in enumerate(named):
        files |= {
            f"{folder}/rail_name_{channel}": f"{label}\n",
            f"{folder}/in_power{channel}_input": f"{mw}\n",
        }
    return files


NEON = "fp asimd evtstrm crc32 cpuid"
DOTPROD = "fp asimd evtstrm fphp asimdhp cpuid asimdrdm asimddp"
PI = "Hardware\t: BCM2835\nRevision\t: {}\nModel\t\t: {}\n"


def reading(
    temperature_c: float,
    clock_mhz: float,
    power_w: float | None = None,
    throttled: tuple[str, ...] | None = (),
    since_boot: tuple[str, ...] | None = None,
) -> Reading:
    return Reading(
        temperature_c=temperature_c,
        clock_mhz=clock_mhz,
        governor="schedutil",
        load_1min=0.5,
        memory_available_mb=2048,
        power_w=power_w,
        throttled=throttled,
        throttled_since_boot=since_boot,
    )


ORIN_MODEL = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
BOARDS = {
    "rpi-zero2w": Board(
        linux(
            "Raspberry Pi Zero 2 W Rev 1.0",
            "raspberrypi,model-zero-2-w brcm,bcm2837",
            cpuinfo(4, NEON, "0xd03", tail=PI.format("902120", "Raspberry Pi Zero 2 W Rev 1.0")),
            61200,
            1000000,
        )
        | {"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n"},
        profile="rpi-zero2w",
        cpu="4x Cortex-A53",
        reading=reading(61.2, 1000),
    ),
    "rpi3b+": Board(
        linux(
            "Raspberry Pi 3 Model B Plus Rev 1.3",
            "raspberrypi,3-model-b-plus brcm,bcm2837",
            cpuinfo(4, NEON, "0xd03", tail=PI.format("a020d3", "Raspberry Pi 3 Model B Plus Rev 1.3")),
            60100,
            1200000,
        )
        | {
            "sys/devices/platform/soc/soc:firmware/get_throttled": "80008\n",
            "sys/bus/usb/devices/1-1.2/idVendor": "1a6e\n",
            "sys/bus/usb/devices/1-1.2/idProduct": "089a\n",
        },
        profile="rpi3b+",
        cpu="4x Cortex-A53",
        reading=reading(
            60.1, 1200, throttled=("soft temperature limit",), since_boot=("soft temperature limit",)
        ),
        accelerators=("Coral USB Accelerator",),
    ),
    "rpi4b": Board(
        linux(
            "Raspberry Pi 4 Model B Rev 1.5",
            "raspberrypi,4-model-b brcm,bcm2711",
            cpuinfo(4, NEON, "0xd08", tail=PI.format("c03115", "Raspberry Pi 4 Model B Rev 1.5")),
            48000,
            1800000,
        )
        | {
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "dev/dri/renderD128": "",
            "sys/class/drm/renderD128/device/uevent": "DRIVER=v3d\nOF_NAME=gpu\n",
        },
        profile="rpi4b",
        cpu="4x Cortex-A72",
        reading=reading(
            48,
            1800,
            throttled=("under-voltage", "throttled"),
            since_boot=("under-voltage", "throttled"),
        ),
        accelerators=("Broadcom VideoCore GPU (v3d)",),
    ),
    "rpi5": Board(
        linux(
            "Raspberry Pi 5 Model B Rev 1.0",
            "raspberrypi,5-model-b brcm,bcm2712",
            cpuinfo(4, DOTPROD, "0xd0b", tail=PI.format("d04170", "Raspberry Pi 5 Model B Rev 1.0")),
            52000,
            2400000,
        )
        | {
            "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0\n",
            "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
            "sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
            "sys/bus/pci/devices/0001:01:00.0/vendor": "0x1e60\n",
            "sys/bus/pci/devices/0001:01:00.0/device": "0x2864\n",
            "sys/bus/pci/devices/0001:01:00.0/class": "0x120000\n",
            "dev/hailo0": "",
        },
        profile="rpi5",
        cpu="4x Cortex-A76",
        reading=reading(52, 2400),
        accelerators=("Hailo-8 or 8L",),
    ),
    "jetson-nano": Board(
        linux(
            "NVIDIA Jetson Nano Developer Kit",
            "nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,jetson-nano nvidia,tegra210",
            cpuinfo(4, NEON, "0xd07"),
            41000,
            1479000,
            zone="CPU-therm",
        )
        | jetson("32.7.4", mode=0, passive=97000)
        | iio(("POM_5V_IN", 1750), ("POM_5V_GPU", 0), ("POM_5V_CPU", 366))
        | {"usr/local/cuda/version.txt": "CUDA Version 10.2.300\n"},
        profile="jetson-nano",
        cpu="4x Cortex-A57",
        reading=reading(41, 1479, power_w=1.75),
        power_source="INA3221: POM_5V_IN",
        jetpack="4.6",
        throttle_c=97,
        power_mode="MAXN",
        accelerators=("NVIDIA Jetson GPU (tegra210, compute capability 5.3)",),
    ),
    "jetson-xavier-nx": Board(
        linux(
            "NVIDIA Jetson Xavier NX Developer Kit",
            "nvidia,p3509-0000+p3668-0000 nvidia,p3668-0000 nvidia,tegra194",
            cpuinfo(6, "fp asimd fphp asimdhp cpuid", "0x004", implementer="0x4e"),
            44500,
            1907200,
        )
        | jetson("35.4.1", mode=2, passive=90500)
        | rails("7-0040", ("VDD_IN", 5000, 800), ("VDD_CPU_GPU_CV", 5000, 100), ("VDD_SOC", 5000, 200)),
        profile="jetson-xavier-nx",
        cpu="6x NVIDIA Carmel",
        reading=reading(44.5, 1907.2, power_w=4.0),
        power_source="INA3221: VDD_IN",
        jetpack="5.1.2",
        throttle_c=90.5,
        power_mode="15W",
        accelerators=("NVIDIA Jetson GPU (tegra194, compute capability 7.2)",),
    ),
    "jetson-orin-nano": Board(
        linux(
            ORIN_MODEL,
            "nvidia,p3768-0000+p3767-0005-super nvidia,p3767-0005 nvidia,tegra234",
            cpuinfo(6, DOTPROD, "0xd42"),
            48562,
            1728000,
        )
        | jetson("36.4.7", mode=2, passive=99000)
        | rails("1-0040", ("VDD_IN", 5000, 1050), ("VDD_CPU_GPU_CV", 5000, 100), ("VDD_SOC", 5000, 540))
        | {
            "sys/devices/virtual/thermal/cooling_device0/cur_state": "1\n",
            "usr/local/cuda-12.6/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}\n',
            "usr/lib/aarch64-linux-gnu/libnvinfer.so.10": "",
            "usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0": "",
            "dev/dri/renderD128": "",
            "sys/class/drm/renderD128/device/uevent": "DRIVER=nvidia-drm\n",
            "dev/nvidia0": "",  # of its display
        },
        profile="jetson-orin-nano",
        cpu="6x Cortex-A78AE",
        reading=reading(48.562, 1728, power_w=5.25, throttled=("throttled (cpu)",)),
        power_source="INA3221: VDD_IN",
        jetpack="6.2.1",
        throttle_c=99,
        power_mode="15W",
        accelerators=("NVIDIA Jetson GPU (tegra234, compute capability 8.7)",),
    ),
    "jetson-orin-nx": Board(
        linux(
            "NVIDIA Jetson Orin NX",
            "nvidia,p3768-0000+p3767-0000 nvidia,p3767-0000 nvidia,tegra234",
            cpuinfo(8, DOTPROD, "0xd42"),
            50000,
            1984000,
        )
        | jetson("36.3.0", mode=0, passive=99000)
        | rails("1-0040", ("VDD_IN", 5000, 1600), ("VDD_CPU_GPU_CV", 5000, 500), ("VDD_SOC", 5000, 540)),
        profile="jetson-orin-nx",
        cpu="8x Cortex-A78AE",
        reading=reading(50, 1984, power_w=8.0),
        power_source="INA3221: VDD_IN",
        jetpack="6.0",
        throttle_c=99,
        power_mode="MAXN",
        accelerators=("NVIDIA Jetson GPU (tegra234, compute capability 8.7)",),
    ),
    "jetson-agx-orin": Board(
        linux(
            "NVIDIA Jetson AGX Orin Developer Kit",
            "nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005 nvidia,tegra234",
            cpuinfo(12, DOTPROD, "0xd42"),
            47000,
            2201600,
        )
        | jetson("36.4.0", mode=0, passive=99000)
        | rails("1-0040", ("VDD_GPU_SOC", 20000, 200), ("VDD_CPU_CV", 20000, 100), ("VIN_SYS_5V0", 5000, 600))
        | rails("1-0041", ("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 100)),
        profile="jetson-agx-orin",
        cpu="12x Cortex-A78AE",
        reading=reading(47, 2201.6, power_w=9.0),
        power_source="INA3221: VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0",
        jetpack="6.1",
        throttle_c=99,
        power_mode="MAXN",
        accelerators=("NVIDIA Jetson GPU (tegra234, compute capability 8.7)",),
    ),
    "jetson-thor": Board(
        linux(
            "NVIDIA Jetson AGX Thor Developer Kit",
            "nvidia,p4071-0000+p3834-0008 nvidia,p3834-0008 nvidia,tegra264",
            cpuinfo(14, DOTPROD + " i8mm bf16 sve2", "0xd83"),
            53700,
            2601000,
        )
        | jetson("38.4.0", mode=0, passive=114000)
        | rails("2-0040", ("VDD_GPU", 5000, 0), ("VDD_CPU_SOC_MSS", 5000, 1300), ("VIN_SYS_5V0", 5000, 1300))
        | {"sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon4/power1_input": "23000000\n"},
        profile="jetson-thor",
        cpu="14x Neoverse-V3AE",
        reading=reading(53.7, 2601, power_w=23.0),
        power_source="INA238: module input",
        jetpack="7.1",
        throttle_c=114,
        power_mode="MAXN",
        accelerators=("NVIDIA Jetson GPU (tegra264, compute capability 11.0)",),
    ),
    "arm64": Board(
        linux(
            "Radxa ROCK 5B",
            "radxa,rock-5b rockchip,rk3588",
            cpuinfo(4, DOTPROD, "0xd05")
            + cpuinfo(4, DOTPROD, "0xd0b").replace("processor\t: ", "processor\t: 1"),
            45000,
            2256000,
            zone="soc-thermal",
        )
        | {
            "dev/dri/renderD128": "",
            "sys/class/drm/renderD128/device/uevent": "DRIVER=panthor\n",
            "dev/dri/renderD129": "",
            "sys/class/drm/renderD129/device/uevent": "DRIVER=RKNPU\n",
        },
        profile="arm64",
        cpu="4x Cortex-A55, 4x Cortex-A76",
        reading=reading(45, 2256, throttled=None),
        accelerators=("Arm Mali GPU", "Rockchip NPU"),
    ),
    "x86-vnni": Board(
        {
            "proc/cpuinfo": "".join(
                f"processor\t: {core}\nmodel name\t: Intel(R) Core(TM) Ultra 7 155H\n"
                f"physical id\t: 0\ncore id\t\t: {core}\nflags\t\t: fpu lm sse2 avx2 avx_vnni\n\n"
                for core in range(4)
            ),
            "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 204800 kB\n",
            "proc/loadavg": "0.50 0.40 0.30 1/200 4242\n",
            "sys/class/dmi/id/product_name": "A Laptop\n",
            "sys/firmware/acpi/platform_profile": "balanced\n",
            "sys/class/thermal/thermal_zone3/type": "x86_pkg_temp\n",
            "sys/class/thermal/thermal_zone3/temp": "55000\n",
            # written by thermald: 0 is none
            "sys/class/thermal/thermal_zone3/trip_point_0_type": "passive\n",
            "sys/class/thermal/thermal_zone3/trip_point_0_temp": "0\n",
            f"{CPUFREQ}/scaling_cur_freq": "2800000\n",
            f"{CPUFREQ}/scaling_governor": "schedutil\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "7\n",
            "sys/class/powercap/intel-rapl:0/name": "package-0\n",
            "sys/class/powercap/intel-rapl:0/energy_uj": "1000000\n",
            "dev/accel/accel0": "",
            "sys/class/accel/accel0/device/uevent": "DRIVER=intel_vpu\nPCI_ID=8086:7D1D\n",
            "dev/dri/renderD128": "",
            "sys/class/drm/renderD128/device/uevent": "DRIVER=xe\n",
        },
        profile="x86-vnni",
        cpu="Intel(R) Core(TM) Ultra 7 155H",
        # the first reading has nothing to take watts from; it was too hot before
        reading=reading(55, 2800, power_w=None, throttled=(), since_boot=("throttled",)),
        power_source="RAPL: CPU packages",
        power_mode="balanced",
        accelerators=("Intel NPU", "Intel GPU"),
    ),
    "x86": Board(
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-6200U CPU @ 2.30GHz\n"
            "flags\t\t: fpu lm sse2 avx2\n\n",
            "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\nSwapTotal: 204800 kB\n",
            "proc/loadavg": "0.50 0.40 0.30 1/200 4242\n",
            "sys/class/thermal/thermal_zone0/type": "acpitz\n",
            "sys/class/thermal/thermal_zone0/temp": "55000\n",
            "sys/class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
            "sys/class/thermal/thermal_zone0/trip_point_0_temp": "95000\n",
            f"{CPUFREQ}/scaling_cur_freq": "2300000\n",
            f"{CPUFREQ}/scaling_governor": "schedutil\n",
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce 940MX\n",
            "dev/nvidia0": "",
            "dev/nvidiactl": "",
        },
        profile="x86",
        cpu="Intel(R) Core(TM) i5-6200U CPU @ 2.30GHz",
        reading=reading(55, 2300, throttled=None),
        throttle_c=95,
        accelerators=("NVIDIA GeForce 940MX",),
    ),
}
